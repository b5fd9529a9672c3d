import { Keyspace, type Link } from '../../libs/redis/index.js';
import { placeOf, type Priority } from '../../libs/queue/store/levels.js';
import { queueKeys, retryKeys, type QueueKeys } from '../../libs/queue/store/queue.keys.js';
import { lookScript } from './look.script.js';
import { Ends, type End, type OfTask } from './ends.js';

/** An entry that was, or is, pending: what a settlement of it has to name. */
export interface Handed {
  readonly group: string;
  /** Its own stream: the queue's, or that of the group's retries. */
  readonly keys: QueueKeys;
  readonly id: string;
  readonly task: string;
  /** The id of the task: in its `meta`, or that of the entry. */
  readonly handle: string;
  readonly consumer: string;
  readonly deliveries: number;
  readonly attempts: number;
}

/** What is known of a key: see key.steps.ts. */
export interface KnownKey {
  /** The task that was last published under it. */
  readonly id: string;
  /** Its payload, as text. */
  readonly payload: string;
  readonly items: number;
  /** The id of the task that it followed when it was published. */
  readonly after: string | undefined;
}

/** A publish under a key, and what it was answered. */
export interface AnsweredPublish {
  readonly key: string;
  readonly mode: string;
  readonly nonce: string;
  readonly answer: { readonly id: string; readonly outcome: string };
}

/**
 * Where a task is, for one group: `waiting:<attempts>`, `pending:<consumer>:<deliveries>:<attempts>`, `delayed:<attempts>`,
 * `dead:<reason>`, `done`.
 */
export type Place = string;

/** One place of one task, for one group. */
export interface Row {
  readonly group: string;
  /** The stream or sorted set, and what it is called there. */
  readonly key: string;
  readonly id: string;
  readonly task: string;
  /** The id of the task. Of a dead letter, that of its entry may be another. */
  readonly handle: string;
  readonly place: Place;
}

/** What a look at Redis found. Rows and pending entries are those of the level at hand. */
export interface Snapshot {
  readonly rows: readonly Row[];
  /** By `<group> <task>`, of all levels. More than one place, or none, is a violation. */
  readonly places: ReadonlyMap<string, readonly Place[]>;
  readonly pending: readonly Handed[];
  /** Entries that no group waits for or has pending, and which are still there. */
  readonly left: number;
}

/** One level of the queue's priority. A queue without priorities has one, `normal`. */
interface Level {
  readonly priority: Priority;
  readonly keys: QueueKeys;
  readonly retries: ReadonlyMap<string, QueueKeys>;
  rows: readonly Row[];
  pending: readonly Handed[];
  /** All that ever was pending, latest last: what a zombie may come back with. */
  readonly history: Handed[];
}

/**
 * One queue with its groups, on a real Redis: what is known of its tasks, and how to look at them. A step works on one level, as on a
 * queue.
 */
export class World {
  readonly link: Link;
  readonly groups: readonly string[];
  readonly #levels: readonly Level[];
  #level: Level;
  /** By task: the level to which it was published, and which it keeps. */
  readonly #levelOf = new Map<string, Level>();
  /** `<group> <task>` of what was acknowledged. */
  readonly done = new Set<string>();
  /** Who is told how tasks end. */
  readonly ends: Ends;
  /** `<stream> <entry> <group>` of what is marked as cancelled. */
  readonly marked = new Set<string>();
  readonly alive = new Set<string>();
  /** By the key of a publish. */
  readonly known = new Map<string, KnownKey>();
  /** The latest answers to publishes under keys. */
  readonly answered: AnsweredPublish[] = [];
  /** By the id of a task that waits for the end of another one: the id of that one. */
  readonly follows = new Map<string, string>();
  /** Keys beside the queue that steps have made, to be deleted. */
  readonly sideKeys = new Set<string>();
  published = 0;
  steps = 0;
  last: Snapshot = { rows: [], places: new Map(), pending: [], left: 0 };

  constructor(link: Link, namespace: string, groups: readonly string[], levels: readonly [Priority, ...Priority[]]) {
    const keyspace = new Keyspace(namespace);
    this.link = link;
    this.groups = groups;
    this.ends = new Ends(groups);
    const level = (priority: Priority): Level => {
      const place = placeOf('tasks', priority);
      const retries = new Map(groups.map((group) => [group, retryKeys(keyspace, place, group)]));
      return { priority, keys: queueKeys(keyspace, place), retries, rows: [], pending: [], history: [] };
    };
    const [first, ...others] = levels;
    this.#level = level(first);
    this.#levels = [this.#level, ...others.map(level)];
  }

  /** How many levels there are. */
  get levels(): number {
    return this.#levels.length;
  }

  /** Goes to a level. */
  goTo(n: number): void {
    this.#level = this.#levels[n % this.#levels.length] ?? this.#level;
    const { rows, pending } = this.#level;
    this.last = { ...this.last, rows, pending };
  }

  get priority(): Priority {
    return this.#level.priority;
  }

  get keys(): QueueKeys {
    return this.#level.keys;
  }

  get retries(): ReadonlyMap<string, QueueKeys> {
    return this.#level.retries;
  }

  get history(): readonly Handed[] {
    return this.#level.history;
  }

  /** The queue's own stream. */
  get main(): string {
    return (this.#levels.find(({ priority }) => priority === 'normal') ?? this.#level).keys.stream;
  }

  /** A new payload, for a task of the level at hand. */
  newTask(): string {
    const task = String(this.published++);
    this.#levelOf.set(task, this.#level);
    return task;
  }

  /** Whether some group has the task still to do. */
  isActive(handle: string): boolean {
    return this.last.rows.some((row) => row.handle === handle && !row.place.startsWith('dead:'));
  }

  /** Whether a delayed task stays where it is because the one that it follows is active. */
  isHeld(handle: string): boolean {
    const after = this.follows.get(handle);
    const isDelayed = this.last.rows.some((row) => row.handle === handle && row.key === this.keys.delayed);
    return isDelayed && after !== undefined && this.isActive(after);
  }

  /** A task has ended for its group. A dead letter is found where it is. */
  settle(of: OfTask, end: End): void {
    if (end.how !== 'failed') this.done.add(`${of.group} ${of.task}`);
    this.ends.ended(of, end);
  }

  /** Tasks of which a script said that they are dead letters, or dropped. */
  settleAll(group: string, handles: readonly string[], end: End): void {
    for (const row of this.last.rows) {
      if (row.group === group && handles.includes(row.handle) && !row.place.startsWith('dead:')) this.settle(row, end);
    }
  }

  /** Whether the entry that a worker has is marked as cancelled. */
  isMarked({ group, keys, id }: Pick<Handed, 'group' | 'keys' | 'id'>): boolean {
    return this.marked.has(`${keys.stream} ${id} ${group}`);
  }

  /** `<group> <task>` of what pends and is marked. */
  markedTasks(): ReadonlySet<string> {
    const marked = this.last.pending.filter((handed) => this.isMarked(handed));
    return new Set(marked.map(({ group, task }) => `${group} ${task}`));
  }

  /** The payload is nowhere any more, and nobody has to do anything for it. */
  supersede(task: string): void {
    for (const group of this.groups) this.done.add(`${group} ${task}`);
  }

  /** Where a group's retries go, and so what it reads besides the queue. */
  retryKeysOf(group: string): QueueKeys {
    return this.retries.get(group) ?? this.keys;
  }

  async begin(): Promise<void> {
    await this.end();
    for (const group of this.groups) await this.link.send('xgroup', ['CREATE', this.main, group, '0', 'MKSTREAM']);
  }

  async end(): Promise<void> {
    const all = this.#levels.flatMap(({ keys, retries }) => [keys, ...retries.values()]);
    const names = all.flatMap((keys) => Object.values(keys) as string[]);
    await this.link.send('del', [...new Set([...names, ...this.sideKeys])]);
  }

  async look(): Promise<Snapshot> {
    const places = new Map<string, Place[]>();
    for (const task of this.done) places.set(task, ['done']);
    let left = 0;
    for (const level of this.#levels) left += await this.#lookAt(level, places);
    const { rows, pending } = this.#level;
    return (this.last = { rows, places, pending, left });
  }

  /** Returns how many entries are there for nobody. */
  async #lookAt(level: Level, places: Map<string, Place[]>): Promise<number> {
    const keysOf = new Map([level.keys, ...level.retries.values()].map((keys) => [keys.stream, keys]));
    const rest = [...level.retries].flatMap(([group, keys]) => [
      ...[group, keys.stream, keys.delayed, keys.bodies, keys.index],
    ]);
    const rows = await lookScript.run(this.link, { keys: level.keys, args: {}, rest });
    const found: Row[] = [];
    const pending: Handed[] = [];
    let left = 0;
    for (const [group, key, id, payload, attempts, place, handle] of rows) {
      // Of a list that was collected, the last item tells the task.
      const task = /(\d+)\]$/.exec(payload)?.[1] ?? payload;
      if (place === 'left') {
        left++;
        continue;
      }
      found.push({ group, key, id, task, handle, place });
      const from = this.#levelOf.get(task)?.priority;
      if (from && from !== level.priority) throw new Error(`task ${task} of ${from} came to ${level.priority}`);
      const of = `${group} ${task}`;
      places.set(of, [...(places.get(of) ?? []), place]);
      const [kind, ...rest] = place.split(':');
      const keys = keysOf.get(key);
      if (kind !== 'pending' || keys === undefined) continue;
      const deliveries = Number(rest.at(-2));
      const consumer = rest.slice(0, -2).join(':');
      pending.push({ group, keys, id, task, handle, consumer, deliveries, attempts: Number(attempts) });
    }
    level.rows = found;
    level.pending = pending;
    level.history.push(...pending);
    level.history.splice(0, Math.max(0, level.history.length - 200));
    return left;
  }
}
