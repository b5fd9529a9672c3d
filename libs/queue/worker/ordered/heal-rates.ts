import type { Link } from '../../../redis/index.js';
import { healRatesScript } from '../../store/scripts/heal-rates.script.js';
import type { KeyRate } from '../admission/fleet-limits.js';
import type { Worker } from '../worker.js';

export interface HealRatesRequest {
  readonly worker: Worker;
  readonly rate: KeyRate;
  readonly link: Link;
  /** The prefix of the names of inboxes. */
  readonly inboxes: string;
  /** At most so often in the fleet; 0: now. */
  readonly everyMs: number;
}

/** Calls in a row, each of which looks at a hundred tasks and keys. */
const CALLS_MOST = 10_000;

/** Puts what waits for the rate of its key in one stream back in line, where it is not. Resolves to how much there was. */
export async function healRates(
  { worker, rate, link, inboxes, everyMs }: HealRatesRequest,
  signal?: AbortSignal,
): Promise<number> {
  const { keys, handler } = worker;
  let cursor = '';
  let total = 0;
  for (let calls = 0; calls < CALLS_MOST && signal?.aborted !== true; calls++) {
    const healed = await healRatesScript.run(link, {
      keys: { ...keys, ...rate.keysOf(keys.stream) },
      args: { group: handler.options.group, side: keys.side, inboxes, everyMs, cursor, ratePath: rate.path },
    });
    total += healed.healed;
    ({ cursor } = healed);
    if (cursor === '') break;
  }
  return total;
}
