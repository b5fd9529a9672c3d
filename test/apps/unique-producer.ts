/** A process that publishes under one key, and writes what was confirmed into its ledger. */
import type { UniqueOutcome } from 'nestjs-sluice/queue';
import { serve } from '../support/app-host.js';
import { Ledger } from '../support/ledger.js';
import { startQueueApp } from '../support/queue-app.js';

const { REDIS_URL = '', LEDGER = '', NAME = '' } = process.env;
const ledger = new Ledger(LEDGER, NAME);
const { app, queue } = await startQueueApp({ url: REDIS_URL });

export type UniqueMode = 'skip' | 'replace' | 'follow-up' | 'debounce' | 'collect';

const one = async (mode: UniqueMode, item: string): Promise<UniqueOutcome> => {
  const key = `of ${mode}`;
  const { outcome } =
    mode === 'collect'
      ? await queue.collect(mode, item, { key, waitMs: 60_000, max: 300 })
      : await queue.publishUnique(mode, item, { key, mode, ...(mode === 'debounce' && { windowMs: 60_000 }) });
  ledger.write({ id: item, attempt: 0, deliveries: 0 });
  return outcome;
};

serve({
  ops: {
    /** Publishes so many items, some at a time, and tells how often each outcome was. */
    publish: async (mode: UniqueMode, count: number): Promise<Partial<Record<UniqueOutcome, number>>> => {
      const outcomes: Partial<Record<UniqueOutcome, number>> = {};
      for (let from = 0; from < count; from += 20) {
        const items = Array.from({ length: 20 }, (_, n) => one(mode, `${NAME}:${from + n}`));
        for (const outcome of await Promise.all(items)) outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
      }
      return outcomes;
    },
  },
  stop: async () => {
    await app.close();
    ledger.end();
  },
});
