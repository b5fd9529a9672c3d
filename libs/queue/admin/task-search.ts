import { unframe, type Keyspace, type Link } from '../../redis/index.js';
import { NAME_MAX_BYTES, isLongerThan } from '../../weave/index.js';
import type { FreedKeys } from '../ordering/freed-keys.js';
import {
  keyDigest,
  progressKey,
  queueKeys,
  recordKey,
  RELEASED,
  retryKeys,
  type QueueKeys,
} from '../store/queue.keys.js';
import { KEY_FIELD } from '../store/scripts/gates.fragment.js';
import { locateScript, type Located } from '../store/scripts/locate.script.js';
import { deleteLettersScript } from '../store/scripts/redrive.script.js';
import { removeDelayedScript, removeWaitingScript } from '../store/scripts/remove.script.js';
import { cancelScript } from '../store/scripts/cancel.script.js';
import { runNowScript } from '../store/scripts/run-now.script.js';
import { delayedInfo, entryInfo, letterInfo, type TaskInfo, type TaskRef } from './task-info.js';

/** What became of a task that was cancelled. */
export type CancelOutcome = 'removed' | 'aborting' | 'not-found';

export interface TaskSearchOptions {
  link: Link;
  keyspace: Keyspace;
  /** The prefix of the names of inboxes. */
  inboxes: string;
  /** A task of the queue is due in `delayMs`. */
  onDelayed: (queue: string, keys: QueueKeys, delayMs: number) => void;
  freedKeys: Pick<FreedKeys, 'passOn'>;
}

/** Finds one task by the id that `publish` returned, with one script. The cost is the same wherever the task is. */
export class TaskSearch {
  readonly #link: Link;
  readonly #keyspace: Keyspace;
  readonly #options: TaskSearchOptions;

  constructor(options: TaskSearchOptions) {
    this.#link = options.link;
    this.#keyspace = options.keyspace;
    this.#options = options;
  }

  async inspect(queue: string, id: string, group: string): Promise<TaskInfo | undefined> {
    const [found, kept] = await Promise.all([this.#locate(queue, id, group), this.#progressOf(queue, id, group)]);
    const info = found && infoOf(queue, found);
    return info && kept !== null ? { ...info, progress: JSON.parse(kept) as unknown } : info;
  }

  /** What a run of the task reported last, as JSON. */
  async #progressOf(queue: string, id: string, group: string): Promise<string | null> {
    if (isLongerThan(id, NAME_MAX_BYTES)) return null;
    return this.#link.send('get', [progressKey(queueKeys(this.#keyspace, queue), group, id)]);
  }

  /** The id of a task, or of the one that was last published under a key; undefined: no such key is known. */
  async idOf(queue: string, task: TaskRef): Promise<string | undefined> {
    if (typeof task === 'string') return task;
    const { key } = task;
    const record = recordKey(queueKeys(this.#keyspace, queue), keyDigest(key));
    return (await this.#link.send<string | null>('hget', [record, 'id'])) ?? undefined;
  }

  /** Resolves to false if the task is not there, or a worker has it. */
  async remove(queue: string, id: string, group: string): Promise<boolean> {
    const found = await this.#locate(queue, id, group);
    if (found === undefined) return false;
    if (found.place === 'dead') {
      const keys = queueKeys(this.#keyspace, queue);
      const call = { keys, args: {}, rest: [found.row.id, id] };
      return this.#passOn(queue, found, (await deleteLettersScript.run(this.#link, call)) === 1);
    }
    return this.#removeFound(queue, id, group, found);
  }

  /** If the task was removed and had an ordering key, lets that key go on. */
  async #passOn(queue: string, found: Located, removed: boolean): Promise<boolean> {
    const key = removed ? orderingKeyOf(found) : undefined;
    if (key !== undefined) await this.#options.freedKeys.passOn(queue, key);
    return removed;
  }

  async #removeFound(
    queue: string,
    id: string,
    group: string,
    found: Exclude<Located, { place: 'dead' }>,
  ): Promise<boolean> {
    const keys = this.#keysOf(queue, group)[found.own ? 'retries' : 'keys'];
    if (found.place === 'delayed') {
      const args = { handle: id, side: keys.side };
      return this.#passOn(queue, found, await removeDelayedScript.run(this.#link, { keys, args }));
    }
    const args = { released: RELEASED, id: found.row.id, task: id, side: keys.side };
    return this.#passOn(queue, found, await removeWaitingScript.run(this.#link, { keys, args }));
  }

  /** Ends a task wherever it is. A task that moves meanwhile is looked for again. */
  async cancel(queue: string, id: string, group: string): Promise<CancelOutcome> {
    for (;;) {
      const found = await this.#locate(queue, id, group);
      if (found === undefined || found.place === 'dead') return 'not-found';
      if (await this.#removeFound(queue, id, group, found)) return 'removed';
      if (found.place === 'delayed') continue;
      const { stream, cancelled, uses } = this.#keysOf(queue, group)[found.own ? 'retries' : 'keys'];
      const args = { group, id: found.row.id, inboxes: this.#options.inboxes };
      if (await cancelScript.run(this.#link, { keys: { stream, cancelled, uses }, args })) return 'aborting';
    }
  }

  /** Resolves to false if the task is not delayed. */
  async runNow(queue: string, id: string, group: string): Promise<boolean> {
    const found = await this.#locate(queue, id, group);
    if (found?.place !== 'delayed') return false;
    const { inboxes, onDelayed } = this.#options;
    const { delayed, alive, uses, stream: target } = this.#keysOf(queue, group)[found.own ? 'retries' : 'keys'];
    const args = { handle: id, target, inboxes };
    const isDue = await runNowScript.run(this.#link, { keys: { delayed, alive, uses }, args });
    if (isDue && !found.own) onDelayed(queue, queueKeys(this.#keyspace, queue), 0);
    return isDue;
  }

  async #locate(queue: string, id: string, group: string): Promise<Located | undefined> {
    // No task has such an id.
    if (isLongerThan(id, NAME_MAX_BYTES)) return undefined;
    const { keys, retries } = this.#keysOf(queue, group);
    const { stream: retryStream, delayed: retryDelayed, bodies: retryBodies, index: retryIndex } = retries;
    return locateScript.run(this.#link, {
      keys: { ...keys, retryStream, retryDelayed, retryBodies, retryIndex },
      args: { id, group, released: RELEASED },
    });
  }

  #keysOf(queue: string, group: string): { keys: QueueKeys; retries: QueueKeys } {
    return { keys: queueKeys(this.#keyspace, queue), retries: retryKeys(this.#keyspace, queue, group) };
  }
}

/** The field of a located task that has its ordering key; undefined: there is none. */
function orderingKeyOf(found: Located): string | undefined {
  const fields = found.place === 'delayed' ? (unframe(found.row.body) ?? []).slice(4) : found.row.fields;
  const at = fields.findIndex((name, i) => i % 2 === 0 && name === KEY_FIELD);
  return at < 0 ? undefined : fields[at + 1];
}

function infoOf(queue: string, found: Located): TaskInfo {
  switch (found.place) {
    case 'delayed':
      return delayedInfo(queue, found.row);
    case 'stream':
      return entryInfo(queue, found.row);
    case 'dead':
      return letterInfo(queue, found.row);
  }
}
