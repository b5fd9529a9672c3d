/** A process with an ordered queue, which writes each run into a history, by its key, and each success into the ledger. */
import { setTimeout as pause } from 'node:timers/promises';
import type { QueueDefinition, Task } from 'nestjs-sluice/queue';
import { serve } from '../support/app-host.js';
import { History } from '../support/history.js';
import { Ledger } from '../support/ledger.js';
import { Ordered } from '../support/ordered-queues.js';
import { startQueueApp } from '../support/queue-app.js';

export interface OrderedWork {
  key: string;
  /** The number of the task among those of its key. */
  n: number;
  /** How long it takes. */
  ms?: number;
  /** How many of its runs fail. */
  failures?: number;
}

const {
  REDIS_URL = '',
  LEDGER = '',
  HISTORY = '',
  LEASE_MS = '500',
  CONCURRENCY = '10',
  BACKOFF_MS = '20',
  /** So many tasks of a key at a time, instead of an order. */
  PER_KEY,
  /** So many starts of a key in so many ms, as `10/1000`, instead of an order. */
  KEY_RATE,
} = process.env;
const ledger = new Ledger(LEDGER);
const history = new History(HISTORY);

const run = async (task: Task<OrderedWork>): Promise<void> => {
  const { key, n, ms = 0, failures = 0 } = task.payload;
  const mark = history.open(key, { token: n });
  if (ms > 0) await pause(ms);
  if (task.attempt <= failures) {
    history.close(mark);
    throw new Error('as asked');
  }
  ledger.write(task);
  history.close(mark);
};

const limits = PER_KEY === undefined ? {} : { perKey: Number(PER_KEY), by: 'key' };
const [limit = 0, perMs = 0] = (KEY_RATE ?? '').split('/').map(Number);
const isOrdered = PER_KEY === undefined && KEY_RATE === undefined;
const { app } = await startQueueApp({
  url: REDIS_URL,
  handlers: {
    tasks: {
      run,
      options: {
        concurrency: { process: Number(CONCURRENCY), ...limits },
        backoff: Number(BACKOFF_MS),
        ...(KEY_RATE !== undefined && { rateLimit: { limit, perMs, by: 'key' } }),
      },
      ...(isOrdered && { definition: Ordered as unknown as QueueDefinition<never, unknown> }),
    },
  },
  queue: { leaseMs: Number(LEASE_MS) },
});
serve({
  ops: {},
  stop: async () => {
    await app.close();
    ledger.end();
  },
});
