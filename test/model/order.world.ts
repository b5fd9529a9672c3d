import {
  CONSUMER_PREFIX,
  PARKED,
  RELEASED,
  gateKeys,
  queueKeys,
  rateKeys,
  retryKeys,
} from '../../libs/queue/store/queue.keys.js';
import { takeScript, type Taken } from '../../libs/queue/store/scripts/take.script.js';
import { ORDER, PLACES } from '../../libs/queue/store/scripts/uses.fragment.js';
import { Keyspace, unframe, type Link } from '../../libs/redis/index.js';
import { holdsIsolated, isIsolated } from './isolated.js';

/** A task that was handed to a consumer, as it was then: what its settlement names, at whatever time later. */
export interface HandedTask {
  readonly consumer: string;
  readonly id: string;
  readonly deliveries: number;
  readonly task: string;
  readonly key: string;
  readonly attempts: number;
}

/** What a look at Redis found. */
export interface Look {
  /** Task → where it is. More than one place, or none, is a violation. */
  readonly places: ReadonlyMap<string, readonly string[]>;
  /**
   * Key → its tasks that hold it. In an ordered queue those that were handed out at least once and have not ended: they run, wait for a
   * retry, or are put off. With a limit by key, those that workers have.
   */
  readonly begun: ReadonlyMap<string, readonly string[]>;
  /** Key → entries that are pending with the parking consumer, by id, and those that stand in line. */
  readonly parked: readonly (readonly [string, string[]])[];
  readonly line: readonly (readonly [string, string[]])[];
  readonly gates: ReadonlyMap<string, string>;
  readonly problems: readonly string[];
}

export const GROUP = 'one';
export const CONSUMERS = ['a', 'b', 'c'].map((name) => CONSUMER_PREFIX + name);
export const INBOXES = 'model:inbox:';
const FOR_EVER = 9_000_000_000_000;
const space = new Keyspace();

/** One queue that is ordered by key, or runs so many tasks of a key at a time, and what the steps know of it. */
export class OrderWorld {
  readonly link: Link;
  readonly seed: number;
  /** How many tasks of a key may run. */
  readonly places: number;
  /** Whether the queue is ordered; otherwise the key is in the payload, and a task that is tried again takes a place again. */
  readonly isOrdered: boolean;
  readonly keys;
  readonly retries;
  readonly gates;
  readonly published: string[] = [];
  readonly handed: HandedTask[] = [];
  readonly alive = new Set<string>();
  /** Tasks that have ended. */
  readonly done = new Set<string>();
  /** Entries that are marked as cancelled. */
  readonly marked = new Set<string>();
  /** Key → its tasks in the order in which they began for the first time. */
  readonly started = new Map<string, string[]>();
  /** What came into the stream, in order, by key. */
  readonly entered = new Map<string, string[]>();
  /** Every failure is final from now on, and everything that is put off is due. */
  rests = false;
  steps = 0;
  readonly #name: string;
  #state: number;

  /** @param perKey how many tasks of a key may run; 0: the queue is ordered */
  constructor(link: Link, name: string, seed: number, perKey: number) {
    this.link = link;
    this.seed = seed;
    this.isOrdered = perKey === 0;
    this.places = Math.max(1, perKey);
    this.#state = seed;
    this.#name = name;
    this.keys = queueKeys(space, name);
    this.retries = retryKeys(space, name, GROUP);
    this.gates = gateKeys(space, this.keys, GROUP);
  }

  /** A number below `below`, by the seed. */
  pick(below: number): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let t = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) % Math.max(1, below);
  }

  /** Where payloads have the key. */
  get keyPath(): string {
    return this.isOrdered ? '' : 'k';
  }

  payloadOf(task: string, key: string): string {
    return this.isOrdered ? task : JSON.stringify({ n: task, k: key });
  }

  /** The task of a payload, and its key. */
  read(payload: string, orderingKey = ''): { task: string; key: string } {
    if (this.isOrdered) return { task: payload, key: orderingKey };
    const { n, k } = JSON.parse(payload) as { n: string; k: string };
    return { task: n, key: k };
  }

  /** The same of the fields of an entry. */
  readEntry(fields: readonly string[]): { task: string; key: string } {
    const { payload = '', ordering_key: key } = recordOf(fields);
    return this.read(payload, key);
  }

  one<T>(of: readonly T[]): T | undefined {
    return of[this.pick(of.length)];
  }

  async begin(): Promise<void> {
    await this.#clear();
    await this.link.send('xgroup', ['CREATE', this.keys.stream, GROUP, '0', 'MKSTREAM']);
    await this.link.send('hset', [this.keys.uses, this.isOrdered ? ORDER : PLACES, '0.1.0 1']);
    for (const consumer of CONSUMERS) await this.start(consumer);
  }

  async end(): Promise<void> {
    const left = await this.link.send<number>('exists', [this.gates.gates, this.gates.line, this.keys.stream]);
    const entries = await this.link.send<number>('xlen', [this.keys.stream]);
    if (left > 1 || entries > 0) throw new Error(`${left - 1} keys and ${entries} entries are left`);
    for (const [key, started] of this.isOrdered ? this.started : []) {
      const ordered = (this.entered.get(key) ?? []).filter((task) => started.includes(task));
      if (started.join() !== ordered.join())
        throw new Error(`key ${key} began as ${started.join()}, and came as ${ordered.join()}`);
    }
    await this.#clear();
  }

  async start(consumer: string): Promise<void> {
    this.alive.add(consumer);
    await this.link.send('zadd', [this.keys.alive, FOR_EVER, consumer]);
  }

  async take(consumer: string, capacity: number): Promise<Taken> {
    const alone = await holdsIsolated(this.link, this.keys.stream, GROUP, consumer);
    const taken = await takeScript.run(this.link, {
      keys: {
        history: this.keys.dead,
        ...{ ...this.keys, ...rateKeys(space, this.keys, GROUP), other: this.retries.stream },
        failedTo: this.keys.dead,
      },
      args: {
        keep: 0,
        level: '-',
        ...{ group: GROUP, consumer, leaseMs: 1, sinceMs: 0, endsMs: FOR_EVER, capacity, maxDeliveries: 4 },
        ...{ alone: Number(alone), foreignIdleMs: 0, released: RELEASED, prefix: CONSUMER_PREFIX, publishes: '' },
        ...{ side: this.keys.side, inboxes: INBOXES },
        ...{ limit: 0, perMs: 0, graceMs: 0, usualMs: 0, fleet: 0, readMost: 1 + this.pick(4) },
      },
      restKeys: [this.gates.gates, this.gates.line],
      rest: [0, this.places, this.keyPath, this.isOrdered ? ORDER : PLACES],
    });
    const isolated = taken.claimed.filter(isIsolated).length + Number(alone);
    if (isolated > 1) throw new Error(`${isolated} are to run alone`);
    for (const { id, deliveries, fields } of taken.claimed) this.hand(consumer, id, deliveries, fields);
    return taken;
  }

  /** A consumer has got an entry. */
  hand(consumer: string, id: string, deliveries: number, fields: readonly string[]): void {
    const { task, key } = this.readEntry(fields);
    const { retry_count: attempts = '0' } = recordOf(fields);
    this.handed.push({ consumer, id, deliveries, task, key, attempts: Number(attempts) });
    if (key === '') return;
    const started = this.started.get(key) ?? [];
    this.started.set(key, started);
    if (!started.includes(task)) started.push(task);
  }

  /** A task has come into the stream: as it was published, or when it was due. */
  enter(key: string, task: string): void {
    if (key === '') return;
    const entered = this.entered.get(key) ?? [];
    this.entered.set(key, entered);
    if (!entered.includes(task)) entered.push(task);
  }

  isAtRest({ places }: Look): boolean {
    return [...places.values()].every(([place = '']) => place === 'done' || place.startsWith('dead'));
  }

  /** Looks at everything. */
  async look(): Promise<Look> {
    const { link, keys, gates } = this;
    const places = new Map<string, string[]>();
    const begun = new Map<string, Set<string>>();
    const problems: string[] = [];
    const place = (task: string, where: string): void => {
      const known = places.get(task);
      if (known) known.push(where);
      else places.set(task, [where]);
    };
    const begins = (key: string, task: string): void => {
      if (key === '') return;
      const known = begun.get(key) ?? new Set();
      begun.set(key, known.add(task));
    };
    for (const task of this.done) place(task, 'done');
    const rows = await link.send<[string, string, number, number][]>('xpending', [
      keys.stream,
      GROUP,
      '-',
      '+',
      10_000,
    ]);
    const owners = new Map(rows.map(([id, consumer]) => [id, consumer]));
    const parked = new Map<string, string[]>();
    for (const [id, fields] of await link.send<[string, string[]][]>('xrange', [keys.stream, '-', '+'])) {
      const { task, key } = this.readEntry(fields);
      const { retry_count: attempts } = recordOf(fields);
      const owner = owners.get(id);
      place(task, owner ?? 'unread');
      if (owner === PARKED) parked.set(key, [...(parked.get(key) ?? []), id]);
      // A task that was never handed out may be pending with nobody in particular, when its key was just opened.
      else if (owner !== undefined || (this.isOrdered && Number(attempts) > 0)) begins(key, task);
      owners.delete(id);
    }
    for (const [id, owner] of owners) problems.push(`${id} is pending with ${owner} and not there`);
    const handles = await link.send<string[]>('zrange', [keys.delayed, 0, -1]);
    for (const handle of handles) {
      const body = (await link.send<string | null>('hget', [keys.bodies, handle])) ?? '';
      const [payload = '', , attempts = '0', , , orderingKey = ''] = unframe(Buffer.from(body)) ?? [];
      const { task, key } = this.read(payload, orderingKey);
      place(task, 'delayed');
      if (this.isOrdered && Number(attempts) > 0) begins(key, task);
    }
    for (const [, fields] of await link.send<[string, string[]][]>('xrange', [keys.dead, '-', '+'])) {
      place(this.readEntry(fields).task, 'dead');
    }
    const line = new Map<string, string[]>();
    for (const each of await link.send<string[]>('zrange', [gates.line, 0, -1])) {
      const [key = '', digits = ''] = each.split('\0');
      const id = [digits.slice(0, 20), digits.slice(20, 40)].map((part) => part.replace(/^0+(?=\d)/, '')).join('-');
      line.set(key, [...(line.get(key) ?? []), id]);
    }
    const holders = await link.send<Record<string, string>>('hgetall', [gates.gates]);
    return {
      places,
      begun: new Map([...begun].map(([key, tasks]) => [key, [...tasks]])),
      parked: sorted(parked),
      line: sorted(line),
      gates: new Map(Object.entries(holders)),
      problems,
    };
  }

  async #clear(): Promise<void> {
    const found = await this.link.send<string[]>('keys', [`*${this.#name}*`]);
    if (found.length > 0) await this.link.send('del', found);
  }
}

/** Names and values in turn, or what RESP3 makes of them. */
export function recordOf(flat: readonly string[]): Record<string, string> {
  return Object.fromEntries(flat.flatMap((name, i) => (i % 2 === 0 ? [[name, flat[i + 1] ?? '']] : [])));
}

function sorted(lines: ReadonlyMap<string, string[]>): [string, string[]][] {
  return [...lines].sort(([a], [b]) => (a < b ? -1 : 1));
}
