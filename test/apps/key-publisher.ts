/** A process that publishes under one key of each mode, and repeats with its nonce what was not confirmed. */
import { PublishUnconfirmedError, type UniquePublish } from 'nestjs-sluice/queue';
import { setTimeout as pause } from 'node:timers/promises';
import { serve } from '../support/app-host.js';
import { KEY_MODES, KeyRecords, type KeyMode } from '../support/key-records.js';
import { startQueueApp } from '../support/queue-app.js';

const { REDIS_URL = '', RECORDS = '', NAME = '' } = process.env;
const records = new KeyRecords(RECORDS);
const { app, queue } = await startQueueApp({ url: REDIS_URL });

let repeated = 0;

const send = (mode: KeyMode, item: string, nonce?: string): Promise<UniquePublish> => {
  const repeat = nonce === undefined ? {} : { nonce };
  if (mode === 'collect') {
    return queue.collect(mode, item, { key: 'k', waitMs: 20, maxWaitMs: 100, max: 20, ...repeat });
  }
  const window = mode === 'debounce' ? { windowMs: 20, maxWaitMs: 100 } : {};
  return queue.publishUnique(mode, item, { key: 'k', mode, ...window, ...repeat });
};

const publish = async (mode: KeyMode, item: string): Promise<void> => {
  records.write({ what: 'call', mode, item });
  let nonce: string | undefined;
  for (;;) {
    try {
      records.write({ what: 'answer', mode, item, ...(await send(mode, item, nonce)) });
      return;
    } catch (error) {
      // What was certainly not sent is sent when the connection is back, and what may have been is repeated.
      await pause(5);
      if (!(error instanceof PublishUnconfirmedError)) continue;
      repeated++;
      nonce = error.nonce;
    }
  }
};

serve({
  ops: {
    /** Publishes so many items in each mode, the next when the one before is confirmed. Tells how many calls were repeated. */
    publish: async (from: number, count: number): Promise<number> => {
      const one = async (mode: KeyMode): Promise<void> => {
        for (let n = from; n < from + count; n++) await publish(mode, `${NAME}${n}`);
      };
      await Promise.all(KEY_MODES.map(one));
      return repeated;
    },
  },
  stop: async () => {
    await app.close();
    records.end();
  },
});
