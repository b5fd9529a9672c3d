import { defineRateLimit, type RateLimitDefinition, type RateLimitService } from '../limit/index.js';
import { GenerationalMap, LIMIT_MAX, isUnavailable } from '../redis/index.js';

/** What a storage of `@nestjs/throttler` answers. Declared here, because that package is not needed otherwise. */
export interface ThrottlerRecord {
  totalHits: number;
  /** Whole seconds. */
  timeToExpire: number;
  isBlocked: boolean;
  /** Whole seconds. */
  timeToBlockExpire: number;
}

/** How many blocked clients a process knows at most. */
const REMEMBERED = 10_000;

/**
 * A storage for apps that keep `@nestjs/throttler` 6: its guard and decorators, with the rate limits of this package. One round trip
 * per throttler, a decision within 250 ms when Redis does not answer, and never more than `limit` requests in any window of `ttl`.
 *
 * A request that is refused is not counted, as in the package's own memory storage. With a `blockDuration`, the first refusal blocks
 * the client for that long. With a `blockDuration` of 0, requests are refused until there is room again.
 *
 * @example
 * ThrottlerModule.forRootAsync({
 *   inject: [RateLimitService],
 *   useFactory: (limits: RateLimitService) => ({
 *     throttlers: [{ ttl: 60_000, limit: 100 }],
 *     storage: new SluiceThrottlerStorage(limits),
 *   }),
 * })
 */
export class SluiceThrottlerStorage {
  readonly #limits: RateLimitService;
  /** Until when this process knows a client to be blocked. */
  readonly #blocked = new GenerationalMap<string, number>({ size: REMEMBERED / 2 });
  readonly #definitions = new Map<string, RateLimitDefinition>();

  constructor(limits: RateLimitService) {
    this.#limits = limits;
  }

  /**
   * @param ttl milliseconds, at most 2 147 483 647 (24.8 days)
   * @param limit a limit below 1 refuses every request
   * @param blockDuration milliseconds
   * @throws SluiceError `SLUICE_BAD_OPTION` for a `ttl` of 0 or above the most, and for what is no number
   */
  async increment(
    key: string,
    ttl: number,
    limit: number,
    blockDuration: number,
    throttlerName: string,
  ): Promise<ThrottlerRecord> {
    const definition = this.#definition(throttlerName, Math.ceil(ttl));
    if (limit < 1) return this.#closed(ttl, blockDuration);
    const decision = await this.#limits.consume(definition, key, { limit: Math.min(Math.floor(limit), LIMIT_MAX) });
    const timeToExpire = Math.ceil(decision.resetMs / 1_000);
    if (decision.allowed) {
      return { totalHits: decision.limit - decision.remaining, timeToExpire, isBlocked: false, timeToBlockExpire: 0 };
    }
    // The first refusal blocks; those of a client that keeps trying do not make the block longer.
    const blocks = blockDuration > decision.retryAfterMs && decision.decidedBy === 'redis';
    const blockedMs = blocks ? await this.#block(definition, key, blockDuration) : 0;
    const timeToBlockExpire = Math.ceil(Math.max(blockedMs, decision.retryAfterMs) / 1_000);
    return { totalHits: limit + 1, timeToExpire, isBlocked: true, timeToBlockExpire };
  }

  /** The answer to a request that has no limit to wait for. */
  #closed(ttl: number, blockDuration: number): ThrottlerRecord {
    const timeToExpire = Math.ceil(ttl / 1_000);
    const timeToBlockExpire = Math.ceil(Math.max(ttl, blockDuration) / 1_000);
    return { totalHits: 1, timeToExpire, isBlocked: true, timeToBlockExpire };
  }

  /** Returns how much longer the client is blocked. */
  async #block(definition: RateLimitDefinition, key: string, ms: number): Promise<number> {
    const leftMs = (this.#blocked.get(`${definition.name} ${key}`) ?? 0) - performance.now();
    if (leftMs > 0) return leftMs;
    this.#blocked.set(`${definition.name} ${key}`, performance.now() + ms);
    try {
      await this.#limits.blockOnce(definition, key, ms);
    } catch (error) {
      // The request is refused in any case. The connection reports the outage.
      if (!isUnavailable(error)) throw error;
    }
    return ms;
  }

  #definition(throttler: string, ttl: number): RateLimitDefinition {
    const name = `throttler:${encodeURIComponent(throttler).replaceAll('.', '%2E')}:${ttl}`;
    let definition = this.#definitions.get(name);
    if (definition === undefined) {
      // The limit comes with each request.
      definition = defineRateLimit(name, { limit: 1, perMs: ttl });
      this.#definitions.set(name, definition);
    }
    return definition;
  }
}
