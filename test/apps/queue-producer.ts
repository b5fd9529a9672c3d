/** A process that publishes all the time, and writes the id of each publish that was confirmed into its ledger. */
import { setTimeout as pause } from 'node:timers/promises';
import { serve } from '../support/app-host.js';
import { Ledger } from '../support/ledger.js';
import { defineQueue } from 'nestjs-sluice/queue';
import { SHORTEST_MS } from '../support/producer-work.js';
import { startQueueApp } from '../support/queue-app.js';
import type { Work } from './queue-worker.js';

const {
  REDIS_URL = '',
  LEDGER = '',
  EVERY_MS = '5',
  /** How long the queue may be; without it, any length. */
  LIMIT,
} = process.env;
const Tasks = defineQueue<Work>('tasks', {
  ...(LIMIT !== undefined && { maxLength: { limit: Number(LIMIT), onFull: 'wait', waitMs: 300_000 } }),
});
const ledger = new Ledger(LEDGER);
const { app, queue } = await startQueueApp({ url: REDIS_URL });

const stop = new AbortController();
let published = 0;
/** Publishes of which nobody knows: they may have been made. */
let unknown = 0;
const publishing = (async () => {
  while (!stop.signal.aborted) {
    const n = published++;
    const work: Work = { ms: SHORTEST_MS + (n % 20), ...(n % 25 === 0 ? { fails: true } : {}) };
    await queue.publish(Tasks, work, { signal: stop.signal }).then(
      (id) => {
        ledger.write({ id, attempt: work.fails ? 0 : 1, deliveries: 0 });
      },
      (error: unknown) => {
        if (!stop.signal.aborted && (error as { outcome?: string }).outcome !== 'not-sent') unknown++;
      },
    );
    await pause(Number(EVERY_MS));
  }
})();
serve({
  ops: { unknown: () => unknown },
  stop: async () => {
    stop.abort();
    await publishing;
    await app.close();
    ledger.end();
  },
});
