import { randomBytes } from 'node:crypto';
import type { Clock, Keyspace, Link } from '../../redis/index.js';
import { SluiceError } from '../../weave/index.js';
import { joinKey, queueKeys, type QueueKeys } from '../store/queue.keys.js';
import { publishMembersScript } from '../store/scripts/publish-members.script.js';
import { dueInMs, isDelayed, type Item, type PublishOptions } from './publish.options.js';
import type { FollowUp } from './when-settled.options.js';

export interface MembersPublisherOptions {
  link: Link;
  keyspace: Keyspace;
  clock: Clock;
  /** The prefix of the names of inboxes. */
  inboxes: string;
  newId: () => string;
  meta: (options: PublishOptions, own?: { id?: string | undefined; join?: string }) => string;
  /** Tasks were published that are due in `delayMs`. */
  onDelayed: (queue: string, keys: QueueKeys, delayMs: number) => void;
}

/** The tasks of one `publishMany` after which another one is to follow. */
export interface Members {
  readonly id: string;
  readonly total: number;
  readonly followUp: FollowUp;
}

/** Publishes tasks of which the end is counted. */
export class MembersPublisher {
  readonly #options: MembersPublisherOptions;

  constructor(options: MembersPublisherOptions) {
    this.#options = options;
  }

  /** Names the tasks of one call. */
  begin(total: number, followUp: FollowUp): Members {
    return { id: randomBytes(12).toString('base64url'), total, followUp };
  }

  /**
   * Publishes some of the tasks, all or none. Resolves with their ids.
   *
   * @param from how many of them were published before
   * @throws SluiceError `SLUICE_BAD_OPTION` if several groups read the queue
   */
  async send(
    queue: string,
    keys: QueueKeys,
    { id, total, followUp }: Members,
    items: readonly Item[],
    from: number,
  ): Promise<readonly string[]> {
    const { link, keyspace, clock, inboxes, newId, meta, onDelayed } = this.#options;
    const { stream, delayed, bodies, alive } = keys;
    // The options are the same for all of them.
    const trace = items[0]?.options.trace;
    const rest = items.flatMap(({ payload, options }, i) => {
      const own = isDelayed(options) ? newId() : undefined;
      const { delayMs = 0, runAt, orderingKey = '' } = options;
      const sent = meta(options, { id: own, join: `${id}/${from + i}` });
      return [own ?? '', payload, sent, delayMs, runAt?.getTime() ?? -1, orderingKey];
    });
    const { ids, groups } = await publishMembersScript.run(link, {
      keys: {
        ...{ stream, delayed, bodies, alive },
        join: joinKey(keys, id),
        target: queueKeys(keyspace, followUp.queue).stream,
      },
      args: {
        ...{ total, from, payload: from === 0 ? followUp.payload : '', meta: meta(trace ? { trace } : {}), inboxes },
        timestamp: String(Math.floor(clock.wallMs() / 1_000)),
      },
      rest,
    });
    if (groups) throw severalGroups(queue, groups);
    const dueMs = Math.min(...items.map(({ options }) => dueInMs(options, clock)));
    if (dueMs < Infinity) onDelayed(queue, keys, dueMs);
    return ids;
  }
}

/** The error for a queue of which each group would settle the tasks by itself. */
export function severalGroups(queue: string, groups: readonly string[]): SluiceError {
  return new SluiceError(
    'SLUICE_BAD_OPTION',
    `publishMany: whenAllSettled is for queues that one group reads, because a task has ended when its group has settled it. Queue ` +
      `'${queue}' is read by ${groups.map((group) => `'${group}'`).join(', ')}. Publish without whenAllSettled, or drop a group that is not ` +
      `used any more: queue.groups(queue).drop(group)`,
  );
}
