import { Redis } from 'ioredis';
import { Books } from '../../support/books.js';
import { holds, rejectsPlanted, type ChaosContext, type Verdict } from '../../support/chaos.js';
import { startQueueApp } from '../../support/queue-app.js';
import { until } from '../../support/until.js';

const TASKS = 100_000;
/** As the promoting script is told. */
const BATCH = 200;
/** What one script of that size may hold the server up, in milliseconds, beyond what a command does that does nothing. */
const LONGEST_MS = 20;

/** A hundred thousand tasks are due in the same moment: they are moved in small steps, and others get in between. */
export async function due(ctx: ChaosContext): Promise<Verdict[]> {
  const redis = await ctx.startRedis();
  const admin = new Redis(redis.url, { protocol: 2 });
  const books = new Books(admin, 'tasks');
  const ran = new Map<string, number>();
  const producer = await startQueueApp({ url: redis.url, queue: { consumers: false } });
  const ids = await producer.queue.publishMany('tasks', [...new Array(TASKS).keys()], { delayMs: 1 });
  await admin.config('SET', 'slowlog-log-slower-than', '1000', 'slowlog-max-len', '10000');
  const consumer = await startQueueApp({
    url: redis.url,
    handlers: { tasks: ({ id }) => void ran.set(id, (ran.get(id) ?? 0) + 1) },
  });
  try {
    const control = await pings(admin, () => ran.size < TASKS);
    await until(() => books.settled(), { what: 'all is settled', deadlineMs: 60_000 });
    const slow = (await admin.slowlog('GET', 10_000)) as [number, number, number, string[]][];
    const scripts = slow.filter(([, , , [command]]) => command?.startsWith('eval')).map(([, , us]) => us / 1_000);
    const longest = Math.max(0, ...scripts);
    const xadds = Number(/cmdstat_xadd:calls=(\d+)/.exec(await admin.info('commandstats'))?.[1]);
    ctx.log(`${TASKS} due at once: longest script ${longest} ms; a PING meanwhile took at most ${control} ms`);
    const doubled = [...ran].filter(([, runs]) => runs !== 1).map(([id]) => id);
    const lost = ids.filter((id) => !ran.has(id));
    return [
      holds('each ran once, under the id that publish returned', doubled.length + lost.length === 0),
      holds('each was moved once', xadds === TASKS, `${xadds} XADD`),
      holds(
        'no script held the server up for long',
        longest < control + LONGEST_MS,
        `longest ${longest} ms, control ${control} ms`,
      ),
      holds('nothing is left', (await admin.exists('{tasks}:~delayed', '{tasks}:~bodies')) === 0),
      rejectsPlanted(
        'a task that ran twice',
        [...ran.set('planted', 2)].filter(([, runs]) => runs !== 1),
      ),
      rejectsPlanted(
        'all moved in one script',
        [longest * (TASKS / BATCH)].filter((ms) => ms >= control + LONGEST_MS),
      ),
    ];
  } finally {
    await Promise.all([producer.app.close(), consumer.app.close()]);
    admin.disconnect();
  }
}

/** What a command that does nothing waits, at most, while `going`. */
async function pings(admin: Redis, going: () => boolean): Promise<number> {
  let longest = 0;
  while (going()) {
    const from = performance.now();
    await admin.ping();
    longest = Math.max(longest, performance.now() - from);
  }
  return Math.round(longest * 10) / 10;
}
