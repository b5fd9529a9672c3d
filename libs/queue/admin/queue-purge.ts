import type { Keyspace, Link } from '../../redis/index.js';
import { oneOf, required, SluiceError } from '../../weave/index.js';
import type { FinishedState } from '../history/finished-task.js';
import type { FreedKeys } from '../ordering/freed-keys.js';
import { PageSize } from './page-size.js';
import type { TaskState } from './task-info.js';
import { historyKeys, queueKeys, RELEASED, retryKeys, type QueueKeys } from '../store/queue.keys.js';
import { purgeDelayedScript, purgeWaitingScript } from '../store/scripts/purge.script.js';
import { purgeScript } from '../store/scripts/redrive.script.js';

/**
 * The states of which all tasks can be removed; of `'completed'` and `'failed'`, the records of the history. Running tasks are not
 * removed: `cancel` ends one.
 */
export type PurgeState = Exclude<TaskState, 'running'> | FinishedState;

const STATES = ['waiting', 'delayed', 'dead', 'completed', 'failed'] as const;
/** Tasks in one script: about a millisecond of the server's time. All other clients wait for it. */
const BATCH = 500;

/** @throws SluiceError `SLUICE_BAD_OPTION`, also for `'running'` */
export function checkPurgeState(state: unknown): PurgeState {
  // There is no default: it would be a guess what to delete.
  return required(oneOf(STATES, 'waiting'))(state, 'purge: state');
}

/** Removes all tasks of one state from a queue, in steps. */
export class QueuePurge {
  readonly #link: Link;
  readonly #keyspace: Keyspace;
  readonly #freedKeys: Pick<FreedKeys, 'passOn'>;

  constructor(link: Link, keyspace: Keyspace, freedKeys: Pick<FreedKeys, 'passOn'>) {
    this.#link = link;
    this.#keyspace = keyspace;
    this.#freedKeys = freedKeys;
  }

  /** Resolves to how many tasks were removed. */
  async purge(queue: string, state: PurgeState, group: string): Promise<number> {
    const removed = await this.#remove(queue, state, group);
    if (removed > 0) await this.#freedKeys.passOn(queue, '');
    return removed;
  }

  async #remove(queue: string, state: PurgeState, group: string): Promise<number> {
    const keys = queueKeys(this.#keyspace, queue);
    const retries = retryKeys(this.#keyspace, queue, group);
    switch (state) {
      case 'dead':
        return purgeScript.run(this.#link, { keys, args: {} });
      case 'completed':
      case 'failed': {
        const records = historyKeys(this.#keyspace, queue)[state];
        return purgeScript.run(this.#link, { keys: { ...keys, dead: records, deadIndex: records }, args: {} });
      }
      case 'delayed':
        return (await this.#delayed(keys)) + (await this.#delayed(retries));
      case 'waiting':
        return (await this.#waiting(queue, keys, group)) + (await this.#waiting(queue, retries, group, true));
    }
  }

  /** Tasks that are published meanwhile stay where `to` says so. */
  async #waiting(queue: string, keys: QueueKeys, group: string, own = false): Promise<number> {
    const size = new PageSize(BATCH);
    let removed = 0;
    for (let after = '', to = ''; ;) {
      const { count } = size;
      const step = await purgeWaitingScript.run(this.#link, {
        keys,
        args: { group, released: RELEASED, after, to, count, side: keys.side },
      });
      if (step.readers !== undefined) {
        // A group without retries of its own.
        if (own) return removed;
        throw noSuchGroup(queue, group, step.readers);
      }
      removed += step.removed;
      if (step.looked < count) return removed;
      size.saw(step.looked, step.bytes);
      ({ after, to } = step);
    }
  }

  /** At most as many as there were: a purge of a queue to which others publish comes to an end. */
  async #delayed(keys: QueueKeys): Promise<number> {
    let removed = 0;
    for (let most = Infinity; removed < most;) {
      const count = Math.min(BATCH, most - removed);
      const step = await purgeDelayedScript.run(this.#link, { keys, args: { count, side: keys.side } });
      if (most === Infinity) most = step.total;
      if (step.removed === 0) break;
      removed += step.removed;
    }
    return removed;
  }
}

function noSuchGroup(queue: string, group: string, readers: readonly string[]): SluiceError {
  return new SluiceError(
    'SLUICE_QUEUE_NO_GROUP',
    `group '${group}' does not read queue '${queue}', so nothing was removed. Groups that do: ` +
      `${readers.map((name) => `'${name}'`).join(', ')}. Name one: purge(queue, state, { group })`,
  );
}
