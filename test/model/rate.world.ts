import {
  CONSUMER_PREFIX,
  PACED,
  RELEASED,
  gateKeys,
  keyRateKeys,
  queueKeys,
  rateKeys,
  retryKeys,
} from '../../libs/queue/store/queue.keys.js';
import { takeByRateScript } from '../../libs/queue/store/scripts/take-by-rate.script.js';
import type { Taken } from '../../libs/queue/store/scripts/take.script.js';
import { ORDER, PLACES } from '../../libs/queue/store/scripts/uses.fragment.js';
import { Keyspace, unframe, type Link } from '../../libs/redis/index.js';
import { holdsIsolated, isIsolated } from './isolated.js';
import { recordOf, type HandedTask } from './order.world.js';

/** What a look at Redis found. */
export interface RateLook {
  /** Task → where it is. More than one place, or none, is a violation. */
  readonly places: ReadonlyMap<string, readonly string[]>;
  /** Key → entries that are pending with `~paced`, by id, and those that stand in line. */
  readonly paced: readonly (readonly [string, string[]])[];
  readonly line: readonly (readonly [string, string[]])[];
  readonly due: readonly string[];
  readonly problems: readonly string[];
}

/** A start of a key: it was given between these two instants, in µs on the server's clock. */
interface Start {
  readonly id: string;
  readonly afterUs: number;
  readonly beforeUs: number;
}

export const GROUP = 'one';
export const CONSUMERS = ['a', 'b', 'c'].map((name) => CONSUMER_PREFIX + name);
export const INBOXES = 'model:inbox:';
export const MAX_DELIVERIES = 4;
const FOR_EVER = 9_000_000_000_000;
const space = new Keyspace();

/**
 * One queue whose keys have rates, and what the steps know of it. In a third of the runs each key also has so many places, and in another
 * third the queue is ordered, by other keys than those of the rates.
 */
export class RateWorld {
  readonly link: Link;
  readonly seed: number;
  readonly keys;
  readonly retries;
  readonly gates;
  readonly rates;
  readonly limit: number;
  readonly perMs: number;
  /** How many tasks of a key run at a time; 0: any number. */
  readonly perKey: number;
  readonly isOrdered: boolean;
  readonly published: string[] = [];
  readonly handed: HandedTask[] = [];
  readonly alive = new Set<string>();
  /** Tasks that have ended. */
  readonly done = new Set<string>();
  /** Entry → how often it was delivered. */
  readonly deliveries = new Map<string, number>();
  readonly starts = new Map<string, Start[]>();
  readonly problems: string[] = [];
  /** Every failure is final from now on, and everything that is put off is due. */
  rests = false;
  steps = 0;
  readonly #name: string;
  #state: number;

  constructor(link: Link, name: string, seed: number) {
    this.link = link;
    this.seed = seed;
    this.#state = seed;
    this.#name = name;
    this.keys = queueKeys(space, name);
    this.retries = retryKeys(space, name, GROUP);
    this.gates = gateKeys(space, this.keys, GROUP);
    this.rates = keyRateKeys(space, this.keys, GROUP);
    this.limit = 1 + this.pick(3);
    this.perMs = 5 + this.pick(40);
    this.isOrdered = this.pick(3) === 0;
    this.perKey = this.isOrdered ? 1 : this.pick(2) * (1 + this.pick(2));
  }

  /** Where payloads have the key whose tasks need places; '': it is a field of the entry. */
  get keyPath(): string {
    return this.isOrdered ? '' : 'of';
  }

  /** Task, key of its rate, and key of its place or of its order. */
  read(fields: readonly string[]): { task: string; key: string; placeKey: string } {
    const { payload = '', ordering_key: orderingKey = '' } = recordOf(fields);
    const { task, of: key = '' } = JSON.parse(payload) as { task: string; of?: string };
    return { task, key, placeKey: this.isOrdered ? orderingKey : key };
  }

  /** A number below `below`, by the seed. */
  pick(below: number): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let t = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) % Math.max(1, below);
  }

  one<T>(of: readonly T[]): T | undefined {
    return of[this.pick(of.length)];
  }

  async begin(): Promise<void> {
    await this.#clear();
    await this.link.send('xgroup', ['CREATE', this.keys.stream, GROUP, '0', 'MKSTREAM']);
    await this.link.send('hset', [this.keys.uses, 'paces', '0.1.0 1', this.isOrdered ? ORDER : PLACES, '0.1.0 1']);
    for (const consumer of CONSUMERS) await this.start(consumer);
  }

  async end(): Promise<void> {
    const { gates, line } = this.gates;
    const { rateLine, rateDue } = this.rates;
    const left = await this.link.send<number>('exists', [gates, line, rateLine, rateDue]);
    const entries = await this.link.send<number>('xlen', [this.keys.stream]);
    if (left > 0 || entries > 0) throw new Error(`${left} keys and ${entries} entries are left`);
    await this.#clear();
  }

  async start(consumer: string): Promise<void> {
    this.alive.add(consumer);
    await this.link.send('zadd', [this.keys.alive, FOR_EVER, consumer]);
  }

  /**
   * When a key is due is told in whole milliseconds, and its window may have room a moment before. What is new and waits for the key then
   * makes it due: the caller comes again at once, and gets it.
   */
  async take(consumer: string, capacity: number): Promise<Pick<Taken, 'claimed' | 'deadLetters' | 'dueMs'>> {
    const first = await this.#takeOnce(consumer, capacity);
    const room = capacity - first.claimed.length;
    if (room === 0 || first.dueMs !== 0) return first;
    if (!first.waits) this.problems.push('a key is due, and the caller does not come');
    const { claimed, deadLetters, dueMs } = await this.#takeOnce(consumer, room);
    if (claimed.length < room && dueMs === 0) this.problems.push('a key is due, and the caller has room');
    return {
      claimed: [...first.claimed, ...claimed],
      deadLetters: [...first.deadLetters, ...deadLetters],
      dueMs,
    };
  }

  async #takeOnce(consumer: string, capacity: number): Promise<Taken> {
    const alone = await holdsIsolated(this.link, this.keys.stream, GROUP, consumer);
    const afterUs = await this.#serverUs();
    const taken = await takeByRateScript.run(this.link, {
      keys: {
        ...{ ...this.keys, ...this.rates, grace: rateKeys(space, this.keys, GROUP).grace, other: this.retries.stream },
        ...{ failedTo: this.keys.dead, history: this.keys.dead },
      },
      args: {
        ...{
          group: GROUP,
          consumer,
          leaseMs: 1,
          sinceMs: 0,
          endsMs: FOR_EVER,
          capacity,
          maxDeliveries: MAX_DELIVERIES,
        },
        ...{ alone: Number(alone), foreignIdleMs: 0, released: RELEASED, prefix: CONSUMER_PREFIX, publishes: '' },
        ...{ side: this.keys.side, inboxes: INBOXES, ratePath: 'of', keep: 0, level: '-' },
        ...{ limit: this.limit, perMs: this.perMs, graceMs: 2, usualMs: 2, fleet: 0, readMost: 100 },
      },
      ...(this.perKey > 0 && {
        restKeys: [this.gates.gates, this.gates.line],
        rest: [0, this.perKey, this.keyPath, this.isOrdered ? ORDER : PLACES],
      }),
    });
    const beforeUs = await this.#serverUs();
    const isolated = taken.claimed.filter(isIsolated).length + Number(alone);
    if (isolated > 1) this.problems.push(`${isolated} are to run alone`);
    for (const { id, deliveries, fields } of taken.claimed) {
      this.hand(consumer, id, deliveries, fields, { id, afterUs, beforeUs });
      if (this.isOrdered) await this.#checkIsFirst(id, fields);
    }
    const hasRoom = taken.claimed.length < capacity;
    const unread = await this.link.send<unknown[]>('xrange', [this.keys.stream, `(${taken.lastId}`, '+']);
    if (hasRoom && unread.length > 0) this.problems.push(`${unread.length} entries are unread, and there is room`);
    return taken;
  }

  /** A task that begins is the first of its ordering key. A retry is a later entry, and keeps the key. */
  async #checkIsFirst(id: string, fields: readonly string[]): Promise<void> {
    const { placeKey } = this.read(fields);
    if (placeKey === '' || recordOf(fields)['retry_count'] !== '0') return;
    const before = await this.link.send<[string, string[]][]>('xrange', [this.keys.stream, '-', `(${id}`]);
    const skipped = before.filter((row) => this.read(row[1]).placeKey === placeKey);
    for (const [other] of skipped) this.problems.push(`of key ${placeKey}, ${id} began before ${other}`);
  }

  /** A consumer has got an entry. It is a start of its key. */
  hand(consumer: string, id: string, deliveries: number, fields: readonly string[], start: Start): void {
    const { retry_count: attempts = '0' } = recordOf(fields);
    const { task, key, placeKey } = this.read(fields);
    this.handed.push({ consumer, id, deliveries, task, key: placeKey, attempts: Number(attempts) });
    const before = this.deliveries.get(id) ?? 0;
    if (deliveries !== before + 1) this.problems.push(`${id} was delivered ${deliveries} times, after ${before}`);
    this.deliveries.set(id, deliveries);
    if (key === '') return;
    const starts = this.starts.get(key) ?? [];
    this.starts.set(key, starts);
    starts.push(start);
    const first = starts[starts.length - 1 - this.limit];
    const spanUs = first === undefined ? Infinity : start.beforeUs - first.afterUs;
    if (spanUs < this.perMs * 1_000) {
      this.problems.push(`key ${key} had ${this.limit + 1} starts in ${spanUs} µs, and not in ${this.perMs} ms`);
    }
  }

  /** A consumer has returned an entry that it had not started. */
  neverStarted(id: string): void {
    this.deliveries.set(id, (this.deliveries.get(id) ?? 1) - 1);
    for (const starts of this.starts.values()) {
      const at = starts.findLastIndex((start) => start.id === id);
      if (at >= 0) starts.splice(at, 1);
    }
  }

  isAtRest({ places }: RateLook): boolean {
    return [...places.values()].every(([place = '']) => place === 'done' || place.startsWith('dead'));
  }

  /** Looks at everything. */
  async look(): Promise<RateLook> {
    const { link, keys, rates } = this;
    const places = new Map<string, string[]>();
    const problems = this.problems.splice(0);
    const place = (payload: string, where: string): void => {
      const { task } = JSON.parse(payload) as { task: string };
      places.set(task, [...(places.get(task) ?? []), where]);
    };
    for (const task of this.done) place(JSON.stringify({ task }), 'done');
    type Pending = [string, string, number, number];
    const rows = await link.send<Pending[]>('xpending', [keys.stream, GROUP, '-', '+', 10_000]);
    const owners = new Map(rows.map(([id, consumer]) => [id, consumer]));
    const paced = new Map<string, string[]>();
    const held = new Map<string, number>();
    for (const [id, fields] of await link.send<[string, string[]][]>('xrange', [keys.stream, '-', '+'])) {
      const { payload = '' } = recordOf(fields);
      const owner = owners.get(id);
      place(payload, owner ?? 'unread');
      const { key, placeKey } = this.read(fields);
      if (CONSUMERS.includes(owner ?? '')) held.set(placeKey, (held.get(placeKey) ?? 0) + 1);
      if (owner === PACED) paced.set(key, [...(paced.get(key) ?? []), id]);
      owners.delete(id);
    }
    for (const [key, count] of held) {
      if (key !== '' && this.perKey > 0 && count > this.perKey)
        problems.push(`workers have ${count} tasks of key ${key}`);
    }
    for (const [id, owner] of owners) problems.push(`${id} is pending with ${owner} and not there`);
    for (const handle of await link.send<string[]>('zrange', [keys.delayed, 0, -1])) {
      const body = (await link.send<string | null>('hget', [keys.bodies, handle])) ?? '';
      place((unframe(Buffer.from(body)) ?? [])[0] ?? '', 'delayed');
    }
    for (const [, fields] of await link.send<[string, string[]][]>('xrange', [keys.dead, '-', '+'])) {
      place(recordOf(fields)['payload'] ?? '', 'dead');
    }
    const line = new Map<string, string[]>();
    for (const each of await link.send<string[]>('zrange', [rates.rateLine, 0, -1])) {
      const [key = '', digits = ''] = each.split('\0');
      const id = [digits.slice(0, 20), digits.slice(20, 40)].map((part) => part.replace(/^0+(?=\d)/, '')).join('-');
      line.set(key, [...(line.get(key) ?? []), id]);
    }
    const due = await link.send<string[]>('zrange', [rates.rateDue, 0, -1]);
    return { places, paced: sorted(paced), line: sorted(line), due, problems };
  }

  async #serverUs(): Promise<number> {
    const [seconds = 0, us = 0] = (await this.link.send<[string, string]>('time', [])).map(Number);
    return seconds * 1_000_000 + us;
  }

  async #clear(): Promise<void> {
    const found = await this.link.send<string[]>('keys', [`*${this.#name}*`]);
    if (found.length > 0) await this.link.send('del', found);
  }
}

function sorted(lines: ReadonlyMap<string, string[]>): [string, string[]][] {
  return [...lines].sort(([a], [b]) => (a < b ? -1 : 1));
}
