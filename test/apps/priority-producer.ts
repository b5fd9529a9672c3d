/** A process that publishes tasks of all levels all the time, many at once, and writes the ids that were confirmed into its ledger. */
import { defineQueue, type Priority } from 'nestjs-sluice/queue';
import { serve } from '../support/app-host.js';
import { Ledger } from '../support/ledger.js';
import { startQueueApp } from '../support/queue-app.js';

const {
  REDIS_URL = '',
  LEDGER = '',
  /** How many tasks there are in a call. */
  AT_ONCE = '1',
} = process.env;
const Tasks = defineQueue<string>('tasks', { shares: true });
const ledger = new Ledger(LEDGER);
const { app, queue } = await startQueueApp({ url: REDIS_URL });

/** Long enough that a process often dies before all of a call is sent. */
const payloads = new Array<string>(Number(AT_ONCE)).fill('x'.repeat(10_000));
let stops = false;
const publishing = Promise.all(
  (['high', 'normal', 'low'] as Priority[]).map(async (priority) => {
    for (let n = 0; !stops; n++) {
      const ids = await queue.publishMany(Tasks, payloads, { priority, ...(n % 2 === 1 && { delayMs: 1 }) });
      for (const id of ids) ledger.write({ id, attempt: 0, deliveries: 0 });
    }
  }),
);
serve({
  ops: {},
  stop: async () => {
    stops = true;
    await publishing;
    await app.close();
    ledger.end();
  },
});
