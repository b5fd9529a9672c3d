import type { Keyspace, Link } from '../../redis/index.js';
import { gateKeys, queueKeys, retryKeys } from '../store/queue.keys.js';
import { healKeysScript } from '../store/scripts/heal-keys.script.js';

/** Calls in a row, each of which looks at a hundred keys. */
const CALLS_MOST = 10_000;

export interface HealRequest {
  readonly link: Link;
  readonly keyspace: Keyspace;
  readonly consumer: string;
  /** The prefix of the names of inboxes. */
  readonly inboxes: string;
  readonly queue: string;
  readonly group: string;
  /** As in `OrderKeys`; 0: not known. Then only keys that are held are looked at. */
  readonly places: number;
  readonly keyPath: string;
  /** At most so often in the fleet; 0: now. */
  readonly everyMs: number;
  /** Looks at this key alone; '': at all. */
  readonly key: string;
}

/** Opens the keys of one group that wait for nothing. Resolves to how many there were. */
export async function healKeys(
  { link, keyspace, consumer, inboxes, queue, group, everyMs, places, keyPath, key }: HealRequest,
  signal?: AbortSignal,
): Promise<number> {
  const keys = queueKeys(keyspace, queue);
  const own = retryKeys(keyspace, queue, group);
  let cursor = '';
  let total = 0;
  for (let calls = 0; calls < CALLS_MOST && signal?.aborted !== true; calls++) {
    const healed = await healKeysScript.run(link, {
      keys: {
        ...{ ...keys, ...gateKeys(keyspace, keys, group), other: own.stream },
        ...{ otherDelayed: own.delayed, otherIndex: own.index },
      },
      args: { group, consumer, side: keys.side, inboxes, everyMs, cursor, perKey: places, keyPath, key },
    });
    total += healed.opened;
    ({ cursor } = healed);
    if (cursor === '') break;
  }
  return total;
}
