import { Redis } from 'ioredis';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { Books } from '../../support/books.js';
import { holds, rejectsPlanted, type ChaosContext, type Verdict } from '../../support/chaos.js';
import { startQueueApp } from '../../support/queue-app.js';
import { until } from '../../support/until.js';

const MB = 2 ** 20;
const BATCH = 2_000;
const WARM_UP = 25;
/** What the heap may gain over a million tasks: noise of the collector, and nothing that grows with their number. */
const HEAP_MB = 8;

interface Use {
  redis: number;
  heap: number;
}

/** A million tasks through one process; afterwards both sides use what they used before. */
export async function soak(ctx: ChaosContext): Promise<Verdict[]> {
  setFlagsFromString('--expose-gc');
  const gc = runInNewContext('gc') as () => void;
  const redis = await ctx.startRedis();
  const admin = new Redis(redis.url, { protocol: 2 });
  const books = new Books(admin, 'tasks');
  let ran = 0;
  const { app, queue } = await startQueueApp({
    url: redis.url,
    handlers: {
      tasks: {
        run: () => {
          ran++;
        },
        options: { concurrency: 100 },
      },
    },
  });
  const batch = async (): Promise<void> => {
    const wanted = ran + BATCH;
    await queue.publishMany('tasks', new Array<object>(BATCH).fill({ order: 12_345_678 }));
    await until(() => ran >= wanted, { what: 'they ran', everyMs: 2, deadlineMs: 60_000 });
  };
  const use = async (): Promise<Use> => {
    await until(() => books.settled(), { what: 'all is settled' });
    // What the first one finds unreachable, weak references may have held until the second.
    gc();
    gc();
    const info = await admin.info('memory');
    return { redis: Number(/used_memory:(\d+)/.exec(info)?.[1]), heap: process.memoryUsage().heapUsed };
  };
  try {
    for (let n = 0; n < WARM_UP; n++) await batch();
    const before = await use();
    const startedMs = performance.now();
    let batches = 0;
    for (; ctx.more(batches, 1_000_000 / BATCH); batches++) await batch();
    const seconds = (performance.now() - startedMs) / 1_000;
    const after = await use();
    const left = (await admin.keys('*')).sort();
    ctx.log(`${batches * BATCH} tasks, ${Math.round((batches * BATCH) / seconds)}/s; left: ${left.join(', ')}`);
    const found = growth(before, after);
    return [
      holds(
        'Redis and the heap use what they used before',
        found.length === 0,
        found.join('; ') || shown(before, after),
      ),
      rejectsPlanted('two megabytes more in Redis', growth(before, { ...before, redis: before.redis + 2 * MB })),
      rejectsPlanted(
        'a heap that grew by 20 bytes per task',
        growth(before, { ...before, heap: before.heap + 20 * MB }),
      ),
    ];
  } finally {
    await app.close();
    admin.disconnect();
  }
}

function growth(before: Use, after: Use): string[] {
  const found: string[] = [];
  if (Math.abs(after.redis - before.redis) > MB) found.push(`Redis: ${shown(before, after)}`);
  if (after.heap - before.heap > HEAP_MB * MB) found.push(`heap: ${shown(before, after)}`);
  return found;
}

function shown(before: Use, after: Use): string {
  const mb = (bytes: number): string => (bytes / MB).toFixed(2);
  return `Redis ${mb(before.redis)} → ${mb(after.redis)} MB, heap ${mb(before.heap)} → ${mb(after.heap)} MB`;
}
