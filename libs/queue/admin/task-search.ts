import type { Keyspace, Link } from '../../redis/index.js';
import { NAME_MAX_BYTES, isLongerThan } from '../../weave/index.js';
import { PageSize } from './page-size.js';
import { queueKeys, RELEASED, retryKeys, type QueueKeys } from '../store/queue.keys.js';
import { findScript } from '../store/scripts/find.script.js';
import { lookDelayedScript } from '../store/scripts/list-delayed.script.js';
import type { ListedEntry } from '../store/scripts/list-stream.script.js';
import { removeDelayedScript, removeWaitingScript } from '../store/scripts/remove.script.js';
import { delayedInfo, entryInfo, letterInfo, type TaskInfo } from './task-info.js';

/** Where a task was found. */
type Sighting =
  | { readonly place: 'delayed'; readonly keys: QueueKeys; readonly info: TaskInfo }
  | { readonly place: 'stream'; readonly stream: string; readonly entryId: string; readonly info: TaskInfo }
  | { readonly place: 'dead'; readonly entryId: string; readonly info: TaskInfo };

/** Entries that are looked through in one step, at most, so that a long queue holds up nobody. */
const SLICE = 500;

/**
 * Finds one task by the id that `publish` returned.
 *
 * A delayed task and one that never failed are found at once. A retry has another entry, whose `meta` carries the id,
 * and so has a dead letter: those are searched for, among what is younger than the task. So is one that is done. Callers who ask
 * for one task at the same time share a search.
 */
export class TaskSearch {
  readonly #link: Link;
  readonly #keyspace: Keyspace;
  readonly #searches = new Map<string, Promise<Sighting | undefined>>();

  constructor(link: Link, keyspace: Keyspace) {
    this.#link = link;
    this.#keyspace = keyspace;
  }

  async inspect(queue: string, id: string, group: string): Promise<TaskInfo | undefined> {
    const search = JSON.stringify([queue, id, group]);
    let found = this.#searches.get(search);
    if (found === undefined) {
      const ended = (): boolean => this.#searches.delete(search);
      found = this.#find(queue, id, group);
      this.#searches.set(search, found);
      found.then(ended, ended);
    }
    return (await found)?.info;
  }

  /** False: it is not there, or a worker has it. */
  async remove(queue: string, id: string, group: string): Promise<boolean> {
    const found = await this.#find(queue, id, group);
    switch (found?.place) {
      case 'delayed': {
        const { delayed, bodies } = found.keys;
        return removeDelayedScript.run(this.#link, { keys: { delayed, bodies }, args: { handle: id } });
      }
      case 'stream': {
        const args = { released: RELEASED, id: found.entryId };
        return removeWaitingScript.run(this.#link, { keys: { stream: found.stream }, args });
      }
      case 'dead': {
        const { dead } = queueKeys(this.#keyspace, queue);
        return (await this.#link.send<number>('xdel', [dead, found.entryId])) === 1;
      }
      default:
        return false;
    }
  }

  /** Twice: a task that goes from one place to another while they are looked through may be missed once. */
  async #find(queue: string, id: string, group: string): Promise<Sighting | undefined> {
    // No task has such an id.
    if (isLongerThan(id, NAME_MAX_BYTES)) return undefined;
    return (await this.#look(queue, id, group)) ?? this.#look(queue, id, group);
  }

  async #look(queue: string, id: string, group: string): Promise<Sighting | undefined> {
    const keys = queueKeys(this.#keyspace, queue);
    const retries = retryKeys(this.#keyspace, queue, group);
    for (const each of [keys, retries]) {
      const call = { keys: { delayed: each.delayed, bodies: each.bodies }, args: { handle: id } };
      const delayed = await lookDelayedScript.run(this.#link, call);
      if (delayed) return { place: 'delayed', keys: each, info: delayedInfo(queue, delayed) };
    }
    for (const { stream } of [keys, retries]) {
      const entry = await this.#search(stream, id, group, 0);
      if (entry) return { place: 'stream', stream, entryId: entry.id, info: entryInfo(queue, entry) };
    }
    const letter = await this.#search(keys.dead, id, group, 1);
    return letter && { place: 'dead', entryId: letter.id, info: letterInfo(queue, letter) };
  }

  async #search(stream: string, id: string, group: string, letters: 0 | 1): Promise<ListedEntry | undefined> {
    const look = (after: string, count: number): ReturnType<typeof findScript.run> =>
      findScript.run(this.#link, {
        keys: { stream },
        args: { id, group, released: RELEASED, letters, after, count },
      });
    const size = new PageSize(SLICE);
    for (let after = ''; ;) {
      const { count } = size;
      const { entry, next, bytes } = await look(after, count);
      if (entry || next === '') return entry;
      size.saw(count, bytes);
      after = next;
    }
  }
}
