/** A process that handles `tasks` and writes each run into the ledger. What a task asks for stands in its payload. */
import type { Task } from 'nestjs-sluice/queue';
import { setTimeout as pause } from 'node:timers/promises';
import { emit, serve } from '../support/app-host.js';
import { Ledger } from '../support/ledger.js';
import { startQueueApp } from '../support/queue-app.js';

export interface Work {
  /** How long it takes. */
  ms?: number;
  /** Never ends in the process that gets it first. */
  hangs?: boolean;
  /** Fails after its work, in the processes named here (by `name` of the environment). */
  failsIn?: string;
}

const { REDIS_URL = '', LEDGER = '', LEASE_MS, DRAIN_MS, CONCURRENCY = '10', NAME = '' } = process.env;
const ledger = new Ledger(LEDGER);

const { app } = await startQueueApp({
  url: REDIS_URL,
  handlers: {
    tasks: {
      run: async (task: Task<Work>) => {
        emit('started', { id: task.id, deliveries: task.deliveries });
        if (task.payload.hangs && task.deliveries === 1) await new Promise(() => {});
        if (task.payload.ms) await pause(task.payload.ms);
        if (task.payload.failsIn === NAME) throw new Error('as asked');
        ledger.write(task);
        emit('done', { id: task.id, deliveries: task.deliveries });
      },
      options: { concurrency: Number(CONCURRENCY) },
    },
  },
  queue: {
    ...(LEASE_MS === undefined ? {} : { leaseMs: Number(LEASE_MS) }),
    ...(DRAIN_MS === undefined ? {} : { drainMs: Number(DRAIN_MS) }),
  },
});
serve({
  ops: {},
  stop: async () => {
    await app.close();
    ledger.end();
  },
});
