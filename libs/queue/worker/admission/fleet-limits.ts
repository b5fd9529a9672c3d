import type { Clock, Keyspace } from '../../../redis/index.js';
import type { Handler } from '../../handlers/handler.registry.js';
import { queueKeys, rateKeys, retryKeys, type RateKeys } from '../../store/queue.keys.js';
import { StartGrace } from './start-grace.js';

/** What a call of `queue:take` is told of the limits. */
export interface LimitArgs {
  readonly limit: number;
  readonly perMs: number;
  readonly graceMs: number;
  readonly usualMs: number;
  readonly fleet: number;
}

/** The limits of one handler that hold for all processes of its group. The workers on its queue and on its own retries share them. */
export class FleetLimits {
  readonly keys: RateKeys;
  readonly grace: StartGrace | undefined;
  readonly #streams: readonly string[];
  readonly #numbers: Omit<LimitArgs, 'graceMs'>;

  constructor({ queue, options }: Handler, keyspace: Keyspace, clock: Clock) {
    const { group, rateLimit, fleet = 0 } = options;
    const own = queueKeys(keyspace, queue);
    this.keys = rateKeys(keyspace, own, group);
    this.#streams = [own.stream, retryKeys(keyspace, queue, group).stream];
    this.grace = rateLimit && new StartGrace(rateLimit.perMs, clock);
    const { limit, perMs } = rateLimit ?? { limit: 0, perMs: 0 };
    this.#numbers = { limit, perMs, usualMs: this.grace?.usualMs ?? 0, fleet };
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
  const { rateLimit, fleet } = handler.options;
  return rateLimit || fleet !== undefined ? new FleetLimits(handler, keyspace, clock) : undefined;
}
