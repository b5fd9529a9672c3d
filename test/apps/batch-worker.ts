/** A process that handles its queue in batches and writes each run into the ledger. What a task asks for stands in its payload. */
import type { Task } from 'nestjs-sluice/queue';
import { emit, serve } from '../support/app-host.js';
import { batchModule } from '../support/batch-handler.js';
import { Ledger } from '../support/ledger.js';
import { startQueueApp } from '../support/queue-app.js';

export interface BatchWork {
  /** Fails alone. */
  fails?: boolean;
  /** The batch never ends after this task, in the process that gets it first. */
  hangs?: boolean;
  /** Kills its process. */
  kills?: boolean;
}

const { REDIS_URL = '', LEDGER = '', LEASE_MS = '500', MAX = '20', CONCURRENCY = '2' } = process.env;
const ledger = new Ledger(LEDGER);

const run = async (tasks: readonly Task<BatchWork>[]): Promise<void> => {
  emit('started', { size: tasks.length, deliveries: tasks[0]?.deliveries });
  for (const task of tasks) {
    const { fails, hangs, kills } = task.payload;
    if (kills) process.kill(process.pid, 'SIGKILL');
    if (fails) task.fail(new Error('as asked'));
    else ledger.write(task);
    if (hangs && task.deliveries === 1) {
      emit('hangs');
      await new Promise(() => {});
    }
  }
};

const { app } = await startQueueApp({
  url: REDIS_URL,
  imports: [
    batchModule('tasks', { batch: { max: Number(MAX) }, concurrency: Number(CONCURRENCY), maxAttempts: 2 }, run),
  ],
  queue: { leaseMs: Number(LEASE_MS) },
});
serve({
  ops: {},
  stop: async () => {
    await app.close();
    ledger.end();
  },
});
