import { Redis } from 'ioredis';
import { holds, rejectsPlanted, type ChaosContext, type Verdict } from '../support/chaos.js';
import { withWorkers } from './lock-workers.js';

const NAMES = 100_000;
const PROCESSES = 4;
/** How many names are fought for at once. */
const AT_ONCE = 500;

interface Footprint {
  heapMb: number;
  handles: number;
}

/** Every process takes every name, all at the same time, so that each name has a queue for a moment. */
export async function distinctNames(ctx: ChaosContext): Promise<Verdict[]> {
  const redis = await ctx.startRedis();
  const admin = new Redis(redis.url);
  try {
    const work = withWorkers(
      redis,
      PROCESSES,
      async (workers) => {
        const pass = (from: number, count: number): Promise<unknown> =>
          Promise.all(workers.map((app) => app.call('pass', from, count, AT_ONCE)));
        const footprints = (): Promise<Footprint[]> =>
          Promise.all(workers.map((app) => app.call<Footprint>('footprint')));
        // What is remembered of names is bounded, and full by then.
        await pass(0, NAMES / 2);
        const before = await footprints();
        let done = NAMES / 2;
        for (let round = 0; done < NAMES || (ctx.budgetMs !== undefined && ctx.more(round, 0)); round++) {
          await pass(done, NAMES / 10);
          done += NAMES / 10;
        }
        const after = await footprints();
        const left = await leftovers(admin);
        await admin.mset('lock:left', 'behind', '{lock:left}:~fence', '1');
        const planted = await leftovers(admin);
        const exits = await Promise.all(workers.map((app) => app.stop().then(() => 'by itself', String)));
        ctx.log(`${done} names, each taken by ${PROCESSES} processes`);
        const grown = after.map(({ heapMb }, i) => heapMb - (before[i]?.heapMb ?? 0));
        const handles = after.map((now, i) => now.handles - (before[i]?.handles ?? 0));
        return [
          holds('nothing is left but fences that expire', left.length === 0, left.slice(0, 5).join('; ') || undefined),
          rejectsPlanted('a lock, and a fence that never expires', planted.slice(left.length)),
          holds('the heap stays flat', Math.max(...grown) < 8, `${grown.map((mb) => mb.toFixed(1)).join(', ')} MB`),
          holds('so does the number of descriptors', Math.max(...handles) <= 0, handles.join(', ')),
          holds(
            'the processes exit by themselves',
            exits.every((how) => how === 'by itself'),
            exits.join('; '),
          ),
        ];
      },
      ['--expose-gc'],
    );
    return await work;
  } finally {
    admin.disconnect();
  }
}

async function leftovers(admin: Redis): Promise<string[]> {
  const left: string[] = [];
  let cursor = '0';
  do {
    const [next, keys] = await admin.scan(cursor, 'COUNT', 1_000);
    cursor = next;
    const ttls = await admin.pipeline(keys.map((key) => ['pttl', key])).exec();
    keys.forEach((key, i) => {
      const ttl = Number(ttls?.[i]?.[1] ?? -1);
      if (!key.endsWith(':~fence') || ttl < 0 || ttl > 3_600_000) left.push(`${key} (${ttl} ms)`);
    });
  } while (cursor !== '0');
  return left;
}
