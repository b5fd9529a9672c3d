import type { Clock, Keyspace } from '../../../redis/index.js';
import type { Handler } from '../../handlers/handler.registry.js';
import {
  gateKeys,
  keyRateKeys,
  queueKeys,
  rateKeys,
  retryKeys,
  type GateKeys,
  type KeyRateKeys,
  type QueueKeys,
  type RateKeys,
} from '../../store/queue.keys.js';
import { StartGrace } from './start-grace.js';

/** What a call of `queue:take` is told of the limits. */
export interface LimitArgs {
  readonly limit: number;
  readonly perMs: number;
  readonly graceMs: number;
  readonly usualMs: number;
  readonly fleet: number;
}

/** What the scripts are told of an ordered queue. */
export interface OrderKeys extends GateKeys {
  /** How many tasks of a key may run. */
  readonly places: number;
  /** Where a payload has the key; '': the entry has it. */
  readonly keyPath: string;
  /** 1: a task keeps its key while it is tried again. */
  readonly keeps: number;
  /** 1: after a dead letter, its key stops. */
  readonly closes: number;
}

/** What the script is told of a rate of each key. */
export interface KeyRate {
  /** Where a payload has the key. */
  readonly path: string;
  /** The keys of what waits in the queue, or in the group's own retries for it. */
  keysOf(stream: string): KeyRateKeys;
}

/** The limits of one handler that hold for all processes of its group, the order of its queue among them. The workers on its queue and on its own retries share them. */
export class FleetLimits {
  readonly keys: RateKeys;
  /** The order of the queue, or how many tasks of a key may run; undefined: neither. */
  readonly order: OrderKeys | undefined;
  /** The rate is one of each key; undefined: it is one of all tasks, or there is none. */
  readonly keyRate: KeyRate | undefined;
  /** Whether a task may start only when the fleet or the rate has room for it, and not only when its key has. */
  readonly isExact: boolean;
  readonly grace: StartGrace | undefined;
  readonly #streams: readonly string[];
  readonly #numbers: Omit<LimitArgs, 'graceMs'>;

  constructor({ queue, options }: Handler, keyspace: Keyspace, clock: Clock) {
    const { group, rateLimit, fleet = 0, ordering, perKey } = options;
    const own = queueKeys(keyspace, queue);
    this.keys = rateKeys(keyspace, own, group);
    this.isExact = fleet > 0 || rateLimit !== undefined;
    this.#streams = [own.stream, retryKeys(keyspace, queue, group).stream];
    this.keyRate = rateLimit?.by === undefined ? undefined : keyRateOf(keyspace, own, group, rateLimit.by);
    this.grace = rateLimit && new StartGrace(rateLimit.perMs, clock);
    const { limit, perMs } = rateLimit ?? { limit: 0, perMs: 0 };
    this.#numbers = { limit, perMs, usualMs: this.grace?.usualMs ?? 0, fleet };
    const kept = gateKeys(keyspace, own, group);
    const closes = ordering?.afterDeadLetter === 'stop' ? 1 : 0;
    if (ordering) this.order = { ...kept, closes, places: 1, keyPath: '', keeps: 1 };
    else if (perKey) this.order = { ...kept, closes, places: perKey.places, keyPath: perKey.by, keeps: 0 };
  }

  /** The limits for a call that is sent now. */
  args(): LimitArgs {
    return { ...this.#numbers, graceMs: this.grace?.ms ?? 0 };
  }

  /** The stream whose tasks count as well: the group's own retries for the queue, and the queue for the retries. */
  other(stream: string): string {
    return this.#streams.find((each) => each !== stream) ?? stream;
  }
}

function keyRateOf(keyspace: Keyspace, own: QueueKeys, group: string, path: string): KeyRate {
  const [keys, ofRetries] = [keyRateKeys(keyspace, own, group), keyRateKeys(keyspace, own, group, true)];
  return { path, keysOf: (stream) => (stream === own.stream ? keys : ofRetries) };
}

/** The limits of a handler that has some. */
export function fleetLimits(handler: Handler, keyspace: Keyspace, clock: Clock): FleetLimits | undefined {
  const { rateLimit, fleet, ordering, perKey } = handler.options;
  return rateLimit || fleet !== undefined || ordering || perKey ? new FleetLimits(handler, keyspace, clock) : undefined;
}
