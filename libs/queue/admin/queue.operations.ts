import { isReplyError, type Keyspace, type Link, type RedisConnection } from '../../redis/index.js';
import { badOption, oneOf, text } from '../../weave/index.js';
import { bytesOf, PageSize } from './page-size.js';
import { placesOf } from '../store/levels.js';
import { queueKeys, RELEASED, retryKeys, type QueueKeys } from '../store/queue.keys.js';
import { countsScript, type Counts } from '../store/scripts/counts.script.js';
import { listDelayedScript } from '../store/scripts/list-delayed.script.js';
import { listStreamScript, type ListedEntry } from '../store/scripts/list-stream.script.js';
import { workersScript } from '../store/scripts/workers.script.js';
import { fieldsOf } from '../store/stream-reply.js';
import { delayedInfo, entryInfo, letterInfo, type TaskInfo, type TaskState } from './task-info.js';
import { workerInfo, type QueueWorker } from './worker-info.js';

/** Chooses one of the groups that read a queue. Only needed where there are several. Default: the group of this app's handler. */
export interface GroupChoice {
  group?: string;
}

export interface ListOptions extends GroupChoice {
  /** Which tasks. Default `'waiting'`. */
  state?: TaskState;
  /** How many at most, 1 to 1 000. Default 100. */
  limit?: number;
  /** `next` of the page before. Default: from the beginning. */
  after?: string;
}

export interface TaskPage<T extends TaskInfo = TaskInfo> {
  /** Oldest first; delayed ones in the order in which they are due. */
  readonly tasks: readonly T[];
  /** The value of `after` for the next page; undefined: this page was the last. */
  readonly next: string | undefined;
}

/** One place with tasks of one state. `after` and `next` say where a page begins. Only its last page has fewer than `limit`. */
type Place = (after: string, limit: number) => Promise<{ tasks: TaskInfo[]; next: string; bytes: number }>;

/** Tasks in one reply. */
const MOST = 500;

const STATES = ['waiting', 'running', 'delayed', 'dead'] as const;

/** Reads the state of queues, from any process that reaches their Redis. */
export class QueueOperations {
  readonly #link: Link;
  readonly #keyspace: Keyspace;
  readonly #groupOf: (queue: string) => string;

  constructor(connection: RedisConnection, keyspace: Keyspace, groupOf: (queue: string) => string) {
    this.#link = connection.commands;
    this.#keyspace = keyspace;
    this.#groupOf = groupOf;
  }

  async counts(queue: string, choice: GroupChoice): Promise<Counts> {
    const { group, keys, retries } = this.#keysOf(queue, choice);
    return countsScript.run(this.#link, {
      keys: {
        stream: keys.stream,
        delayed: keys.delayed,
        dead: keys.dead,
        paused: keys.paused,
        retryStream: retries.stream,
        retryDelayed: retries.delayed,
      },
      args: { group, released: RELEASED },
    });
  }

  async list(queue: string, options: ListOptions): Promise<TaskPage> {
    const { limit = 100, after = '0:' } = options;
    const state = oneOf(STATES, 'waiting')(options.state, 'list: state');
    if (!Number.isSafeInteger(limit) || limit < 1 || limit > 1_000) {
      throw badOption('list: limit', 'a whole number from 1 to 1000', limit);
    }
    const [, index, at = ''] = /^([01]):(.*)$/s.exec(after) ?? [];
    if (index === undefined) throw badOption('list: after', "the 'next' of a page", after);
    const tasks: TaskInfo[] = [];
    let from = at;
    for (const [i, place] of this.#places(queue, state, options).entries()) {
      if (i < Number(index)) continue;
      const size = new PageSize(MOST);
      for (let atEnd = false; !atEnd;) {
        const count = Math.min(size.count, limit - tasks.length);
        const page = await place(from, count);
        tasks.push(...page.tasks);
        if (tasks.length >= limit) return { tasks, next: `${i}:${page.next}` };
        size.saw(page.tasks.length, page.bytes);
        atEnd = page.tasks.length < count;
        from = page.next;
      }
      from = '';
    }
    return { tasks, next: undefined };
  }

  async workers(queue: string): Promise<QueueWorker[]> {
    const { stream, alive } = queueKeys(this.#keyspace, queue);
    const restKeys = await this.streamsBeside(queue);
    return (await workersScript.run(this.#link, { keys: { stream, alive }, restKeys, args: {} })).map(workerInfo);
  }

  /**
   * The streams of a queue beside its own: those of its levels, and the own retries of each group. Another process may know levels that
   * this one does not.
   */
  async streamsBeside(queue: string): Promise<string[]> {
    const { stream } = queueKeys(this.#keyspace, queue);
    const places = placesOf(queue);
    const levels = places.filter((place) => place !== queue).map((place) => queueKeys(this.#keyspace, place).stream);
    // A level has no group that the queue's own stream lacks, but for a moment.
    const groups = await this.groupsOf(stream);
    const retries = groups.flatMap((group) => places.map((place) => retryKeys(this.#keyspace, place, group).stream));
    return [...levels, ...retries];
  }

  /** The names of a stream's groups. There are none while there is no stream. */
  async groupsOf(stream: string): Promise<string[]> {
    try {
      const rows = await this.#link.send<string[][]>('xinfo', ['GROUPS', stream]);
      return rows.map((row) => fieldsOf(row)['name'] ?? '');
    } catch (error) {
      if (isReplyError(error, 'ERR no such key')) return [];
      throw error;
    }
  }

  #keysOf(queue: string, choice: GroupChoice): { group: string; keys: QueueKeys; retries: QueueKeys } {
    const keys = queueKeys(this.#keyspace, queue);
    const group = text()(choice.group, 'group') ?? this.#groupOf(queue);
    return { group, keys, retries: retryKeys(this.#keyspace, queue, group) };
  }

  #places(queue: string, state: TaskState, choice: GroupChoice): Place[] {
    const { group, keys, retries } = this.#keysOf(queue, choice);
    switch (state) {
      case 'delayed':
        return [this.#delayed(queue, keys), this.#delayed(queue, retries)];
      case 'dead':
        return [this.#letters(queue, keys)];
      default:
        return [keys, retries].map(({ stream }) => this.#entries(queue, stream, group, state));
    }
  }

  #entries(queue: string, stream: string, group: string, state: 'waiting' | 'running'): Place {
    return async (after, count) => {
      const args = { group, released: RELEASED, state, after, count };
      const entries = await listStreamScript.run(this.#link, { keys: { stream }, args });
      return { tasks: entries.map((entry) => entryInfo(queue, entry)), ...extent(entries) };
    };
  }

  #delayed(queue: string, { delayed, bodies }: QueueKeys): Place {
    return async (after, count) => {
      const [, afterMs = '-1', handle = ''] = /^(\d+(?:\.\d+)?(?:e\+\d+)?):(.*)$/s.exec(after) ?? [];
      const args = { afterMs: Number(afterMs), after: handle, count };
      const rows = await listDelayedScript.run(this.#link, { keys: { delayed, bodies }, args });
      const last = rows.at(-1);
      return {
        tasks: rows.map((row) => delayedInfo(queue, row)),
        next: last === undefined ? '' : `${last.dueMs}:${last.handle}`,
        bytes: rows.reduce((sum, { body }) => sum + body.length, 0),
      };
    };
  }

  #letters(queue: string, { dead }: QueueKeys): Place {
    return async (after, count) => {
      const from = after === '' ? '-' : `(${after}`;
      const rows = await this.#link.send<[string, string[]][]>('xrange', [dead, from, '+', 'COUNT', count]);
      const entries = rows.map(([id, fields]): ListedEntry => ({ id, fields }));
      return { tasks: entries.map((entry) => letterInfo(queue, entry)), ...extent(entries) };
    };
  }
}

function extent(entries: readonly ListedEntry[]): { next: string; bytes: number } {
  const bytes = entries.reduce((sum, { fields }) => sum + bytesOf(fields), 0);
  return { next: entries.at(-1)?.id ?? '', bytes };
}
