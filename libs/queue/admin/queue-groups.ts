import type { Keyspace, Link } from '../../redis/index.js';
import { SluiceError, text } from '../../weave/index.js';
import { placesOf } from '../store/levels.js';
import { gateKeys, keyRateKeys, queueKeys, retryKeys } from '../store/queue.keys.js';
import { dropGroupScript, groupsScript } from '../store/scripts/groups.script.js';

/** A consumer group that reads a queue, or once did. */
export interface QueueGroup {
  readonly name: string;
  /** Tasks that the group has not begun, without retries. Counted to at most 10 000 where Redis does not know the number. */
  readonly waiting: number;
  /** Tasks that are with the group's workers, or were when those died. */
  readonly running: number;
  /**
   * The living consumers, as `workers()` names them. Empty: no consumer reads for this group now. While such a group exists,
   * every task of the queue stays in Redis.
   */
  readonly consumers: readonly string[];
}

/** The consumer groups of one queue. */
export class QueueGroups {
  readonly #link: Link;
  readonly #keyspace: Keyspace;
  readonly #queue: string;

  constructor(link: Link, keyspace: Keyspace, queue: string) {
    this.#link = link;
    this.#keyspace = keyspace;
    this.#queue = queue;
  }

  /** All groups of the queue. */
  async list(): Promise<QueueGroup[]> {
    const groups = new Map<string, QueueGroup>();
    // Another process may know levels that this one does not: a group that is left there would keep their tasks.
    for (const place of placesOf(this.#queue)) {
      const { stream, alive } = queueKeys(this.#keyspace, place);
      for (const { name, waiting, pending, living } of await groupsScript.run(this.#link, {
        keys: { stream, alive },
        args: {},
      })) {
        const known = groups.get(name);
        groups.set(name, {
          name,
          waiting: waiting + (known?.waiting ?? 0),
          running: pending + (known?.running ?? 0),
          consumers: [...new Set([...(known?.consumers ?? []), ...living])],
        });
      }
    }
    return [...groups.values()];
  }

  /**
   * Deletes a group that no process reads for any more, after a rename for example. Tasks that only this group had not finished
   * are deleted with its retries. Resolves to false if there was no such group. The group's dead letters stay;
   * `redrive({ toGroup })` gives them to another group.
   *
   * @throws SluiceError `SLUICE_QUEUE_GROUP_IN_USE` while a consumer of the group lives
   * @example
   * await queue.groups(Orders).drop('old-name');
   */
  async drop(name: string): Promise<boolean> {
    const group = text()(name, 'groups().drop: name') ?? '';
    let dropped = false;
    for (const place of placesOf(this.#queue)) dropped = (await this.#dropAt(place, group)) || dropped;
    return dropped;
  }

  async #dropAt(place: string, group: string): Promise<boolean> {
    const keys = queueKeys(this.#keyspace, place);
    const retries = retryKeys(this.#keyspace, place, group);
    const dropped = await dropGroupScript.run(this.#link, {
      keys: {
        ...keys,
        retryStream: retries.stream,
        retryDelayed: retries.delayed,
        retryBodies: retries.bodies,
        retryIndex: retries.index,
        ...gateKeys(this.#keyspace, keys, group),
      },
      args: { group },
      restKeys: [false, true].flatMap((ofRetries) => {
        const { rateLine, rateDue } = keyRateKeys(this.#keyspace, keys, group, ofRetries);
        return [rateLine, rateDue];
      }),
    });
    if (typeof dropped === 'boolean') return dropped;
    throw groupInUse(this.#queue, group, dropped);
  }
}

/** The error of `drop`. */
export function groupInUse(queue: string, group: string, consumers: readonly string[]): SluiceError {
  return new SluiceError(
    'SLUICE_QUEUE_GROUP_IN_USE',
    `group '${group}' still reads queue '${queue}': ${consumers.join(', ')}. Stop its handlers first`,
  );
}
