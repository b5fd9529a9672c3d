import type { Clock, Keyspace } from '../../../redis/index.js';
import type { Handler } from '../../handlers/handler.registry.js';
import { gateKeys, queueKeys, rateKeys, retryKeys, type GateKeys, type RateKeys } from '../../store/queue.keys.js';
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
  /** 1: after a dead letter, its key stops. */
  readonly closes: number;
}

/** The limits of one handler that hold for all processes of its group, the order of its queue among them. The workers on its queue and on its own retries share them. */
export class FleetLimits {
  readonly keys: RateKeys;
  /** The order of the queue; undefined: it has none. */
  readonly order: OrderKeys | undefined;
  /** Whether a task may start only when the fleet or the rate has room for it, and not only when its key has. */
  readonly isExact: boolean;
  readonly grace: StartGrace | undefined;
  readonly #streams: readonly string[];
  readonly #numbers: Omit<LimitArgs, 'graceMs'>;

  constructor({ queue, options }: Handler, keyspace: Keyspace, clock: Clock) {
    const { group, rateLimit, fleet = 0, ordering } = options;
    const own = queueKeys(keyspace, queue);
    this.keys = rateKeys(keyspace, own, group);
    this.isExact = fleet > 0 || rateLimit !== undefined;
    this.#streams = [own.stream, retryKeys(keyspace, queue, group).stream];
    this.grace = rateLimit && new StartGrace(rateLimit.perMs, clock);
    const { limit, perMs } = rateLimit ?? { limit: 0, perMs: 0 };
    this.#numbers = { limit, perMs, usualMs: this.grace?.usualMs ?? 0, fleet };
    this.order = ordering && {
      ...gateKeys(keyspace, own, group),
      closes: ordering.afterDeadLetter === 'stop' ? 1 : 0,
    };
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

/** The limits of a handler that has some. */
export function fleetLimits(handler: Handler, keyspace: Keyspace, clock: Clock): FleetLimits | undefined {
  const { rateLimit, fleet, ordering } = handler.options;
  return rateLimit || fleet !== undefined || ordering ? new FleetLimits(handler, keyspace, clock) : undefined;
}
