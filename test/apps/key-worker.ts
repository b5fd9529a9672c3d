/** A process that runs the tasks of each mode, and writes down when each run begins and ends. */
import type { Task } from 'nestjs-sluice/queue';
import { serve } from '../support/app-host.js';
import { KEY_MODES, KeyRecords, type KeyMode } from '../support/key-records.js';
import { startQueueApp } from '../support/queue-app.js';

const { REDIS_URL = '', RECORDS = '', NAME: worker = '', LEASE_MS = '500' } = process.env;
const records = new KeyRecords(RECORDS);

const handler = (mode: KeyMode) => ({
  run: async ({ id, payload, attempt }: Task<string | readonly string[]>): Promise<void> => {
    const items = typeof payload === 'string' ? [payload] : payload;
    records.write({ what: 'begin', mode, id, worker, items });
    await new Promise((resolve) => setTimeout(resolve, Math.random() * 5));
    records.write({ what: 'end', mode, id, worker, items });
    if (attempt === 1 && Math.random() < 0.1) throw new Error('now and then');
  },
  options: { concurrency: 5, backoff: 10 },
});

const { app } = await startQueueApp({
  url: REDIS_URL,
  handlers: Object.fromEntries(KEY_MODES.map((mode) => [mode, handler(mode)])),
  queue: { leaseMs: Number(LEASE_MS) },
});
serve({
  ops: {},
  stop: async () => {
    await app.close();
    records.end();
  },
});
