import { Inject, Injectable } from '@nestjs/common';
import { REDIS_CONNECTIONS, type Clock, type RedisConnections } from '../redis/index.js';
import { SluiceError, brandService } from '../weave/index.js';
import { decidedOf, decisionOf } from './deciding/decisions.js';
import { FleetShare } from './deciding/fleet-share.js';
import { limitId, type KnownLimit } from './deciding/known-limit.js';
import { KnownLimits } from './deciding/known-limits.js';
import type { Charge } from './deciding/batches.js';
import { LimitCalls } from './deciding/limit-calls.js';
import { RefusalMemory } from './deciding/refusal-memory.js';
import { Reserved } from './deciding/reserved.js';
import { WaitingTurns } from './deciding/waiting-turns.js';
import type { RateLimitRef } from './define-rate-limit.js';
import {
  resolveLimitOptions,
  type ResolvedLimitOptions,
  type SluiceLimitModuleOptions,
} from './limit-module.options.js';
import {
  checkBlock,
  checkUnits,
  resolveConsume,
  resolveTake,
  type ConsumeOptions,
  type TakeOptions,
} from './limit.options.js';
import { LIMIT_OPTIONS, LIMIT_SERVICE, LIMIT_STORE } from './limit.tokens.js';
import { LocalLimits } from './local/local-limits.js';
import { LimitEvents } from './observe/limit.events.js';
import type { LimitStats } from './observe/limit.stats.js';
import type { RateLimitDecision, Reservation } from './rate-limit-decision.js';
import { LimitKeys } from './store/limit.keys.js';
import type { LimitRequest } from './store/limit-rule.js';
import type { LimitStore } from './store/limit.store.js';

/** What a call took of several rate limits, and how it is given back. */
interface JointReservation {
  readonly decision: RateLimitDecision;
  readonly cancel: () => Promise<void>;
}

/**
 * Rate limits of the whole fleet.
 *
 * A sliding window never admits more than its limit in any window of the server's time, while Redis keeps the counter. A refused
 * call is not charged. Calls of one turn of the event loop on one limit and key are one round trip, and are served in order. On a
 * server without cluster mode, up to 32 keys of one limit are one script.
 *
 * While Redis does not answer, `onUnavailable` decides, within 250 ms.
 *
 * @example
 * export const Login = defineRateLimit('login', { limit: 5, perMs: 60_000 });
 *
 * constructor(private readonly limits: RateLimitService) {}
 * const { allowed, retryAfterMs } = await this.limits.consume(Login, email);
 */
@Injectable()
export class RateLimitService {
  readonly #options: ResolvedLimitOptions;
  readonly #clock: Clock;
  readonly #store: LimitStore;
  readonly #keys: LimitKeys;
  readonly #known: KnownLimits;
  readonly #events = new LimitEvents();
  readonly #local = new LocalLimits();
  readonly #turns = new WaitingTurns();
  readonly #refusals: RefusalMemory;
  readonly #calls: LimitCalls;

  constructor(
    @Inject(REDIS_CONNECTIONS) connections: RedisConnections,
    @Inject(LIMIT_OPTIONS) options: SluiceLimitModuleOptions | undefined,
    @Inject(LIMIT_STORE) store: LimitStore,
  ) {
    const { keyspace, clock, shutdown } = connections;
    this.#options = resolveLimitOptions(options);
    this.#clock = clock;
    this.#store = store;
    this.#keys = new LimitKeys(keyspace);
    this.#known = new KnownLimits(this.#options);
    this.#refusals = new RefusalMemory(clock);
    this.#calls = new LimitCalls({
      store,
      clock,
      keys: this.#keys,
      events: this.#events,
      refusals: this.#refusals,
      local: this.#local,
      share: new FleetShare(clock, this.#options.fallbackShare, () => store.countProcesses()),
    });
    shutdown.onClose(() => this.#turns.close());
    brandService(this, LIMIT_SERVICE);
  }

  /**
   * Charges a call to the limit of this key, and answers whether the call may go on. Never throws on a refusal.
   *
   * On a limit with `mode: 'pace'`, the call does not wait: it is refused unless it is its turn.
   *
   * @param key whose limit it is: a user, a tenant, an address. Redis sees a hash of it
   * @throws RedisRefusedError if Redis refused the command for good
   * @throws SluiceError `SLUICE_BAD_NAME`, `SLUICE_BAD_OPTION`
   * @example
   * const { allowed, retryAfterMs } = await limits.consume(Api, tenant, { cost: events.length });
   */
  consume(ref: RateLimitRef, key: string, options?: ConsumeOptions): Promise<RateLimitDecision> {
    return new Promise((resolve, reject) => {
      this.#ask('consume', this.#known.get(ref), key, options, resolve, reject);
    });
  }

  /**
   * As `consume`, for work whose cost is known afterwards, such as the tokens of a language model: charges an estimate, and settles
   * the real cost later. Units that are not settled stay charged.
   *
   * @throws as `consume`
   * @example
   * const reservation = await limits.reserve(Tokens, tenant, 4_000);
   * if (!reservation.allowed) return tooMany(reservation);
   * const answer = await model.ask(question);
   * await reservation.settle(answer.usage.totalTokens);
   */
  reserve(
    ref: RateLimitRef,
    key: string,
    units: number,
    options: Omit<ConsumeOptions, 'cost'> = {},
  ): Promise<Reservation> {
    return new Promise((resolve, reject) => {
      const known = this.#known.get(ref);
      const decided = (decision: RateLimitDecision, charge?: Charge): void => {
        const reserved = charge && this.#reserved(known, key, charge, units);
        resolve({
          ...decision,
          settle: (used) => reserved?.settle(used) ?? Promise.resolve(),
          cancel: () => reserved?.cancel() ?? Promise.resolve(),
        });
      };
      this.#ask('reserve', known, key, { ...options, cost: units }, decided, reject);
    });
  }

  /**
   * Waits for the turn of this call on a limit with `mode: 'pace'`, and resolves when it has come. Turns are given in the order of
   * arrival in the whole fleet, in one round trip; the wait itself is a timer of this process. A process that dies loses its turn.
   *
   * @throws RateLimitedError if the turn would come after `maxWaitMs`: at once, without a wait
   * @throws the signal's reason, if `options.signal` aborts first
   * @throws SluiceError `SLUICE_CLOSED`: the app is shutting down. A call that waits then gives its turn back
   * @throws SluiceError `SLUICE_BAD_OPTION`: also for a limit without `mode: 'pace'`
   * @example
   * await limits.take(Partner, 'all', { maxWaitMs: 5_000 });
   * await fetch(url);
   */
  async take(ref: RateLimitRef, key: string, options?: TakeOptions): Promise<void> {
    const known = this.#known.get(ref);
    if (!known.isPaced) {
      const message = `take: rate limit '${known.name}' has no turns. Give it mode: 'pace', or use consume`;
      throw new SluiceError('SLUICE_BAD_OPTION', message);
    }
    await this.takeTurn(known, key, options);
  }

  /** @internal As `take`. Resolves to what gives the turn back, as long as no other call is behind it. */
  async takeTurn(
    known: KnownLimit,
    key: string,
    options?: TakeOptions,
  ): Promise<Pick<Reservation, 'cancel'> | undefined> {
    const { maxWaitMs, signal, cost } = resolveTake(options);
    signal?.throwIfAborted();
    const limits = known.limits ?? (await known.limitsOf(key));
    return new Promise((resolve, reject) => {
      const turn = this.#turns.start({ known, clock: this.#clock, signal, resolve, reject });
      const decided = (decision: RateLimitDecision, charge?: Charge): void => {
        turn.decided(decision, charge, charge && this.#reserved(known, key, charge, cost));
      };
      this.#calls.add(known, key, limits, {
        cost,
        waitUs: maxWaitMs * 1_000,
        decided,
        failed: (error) => void turn.fail(error),
      });
    });
  }

  /**
   * What `consume` would answer now. Charges nothing.
   *
   * @throws RedisUnavailableError
   * @throws SluiceError `SLUICE_BAD_NAME`, `SLUICE_BAD_OPTION`
   */
  async peek(ref: RateLimitRef, key: string, options?: ConsumeOptions): Promise<RateLimitDecision> {
    const { cost, limit } = resolveConsume('peek', options);
    const known = this.#known.get(ref);
    const limits = await this.#limitsOf(known, key, limit);
    return this.#peek(known, key, limits, cost);
  }

  /**
   * Forgets what was charged to this key, and a block. Other processes may refuse the key for one more second.
   *
   * @throws RedisUnavailableError it may have been done
   * @throws SluiceError `SLUICE_BAD_NAME`, `SLUICE_BAD_OPTION`
   */
  async reset(ref: RateLimitRef, key: string): Promise<void> {
    const { keys } = this.#changed(this.#known.get(ref), key);
    this.#local.reset(keys);
    await this.#store.reset(keys);
  }

  /**
   * Gives units back to this key, the oldest first: for good conduct, such as a login that succeeded.
   *
   * @throws RedisUnavailableError it may have been done
   * @throws SluiceError `SLUICE_BAD_NAME`, `SLUICE_BAD_OPTION`
   */
  async reward(ref: RateLimitRef, key: string, units = 1): Promise<void> {
    const less = checkUnits(units, 'reward: units');
    const known = this.#known.get(ref);
    const limits = await this.#limitsOf(known, key, undefined);
    const { keys } = this.#changed(known, key);
    if (less === 0 || known.isPaced) return;
    const rules = known.rules(limits, this.#calls.serverMs);
    await this.#store.adjust({ keys, rules, units: -less, atUs: 0, endsUs: 0, nonce: this.#store.nonce() });
  }

  /**
   * Refuses every call of this key for so many milliseconds. What was charged stays charged. A newer block takes the place of an
   * older one.
   *
   * @throws RedisUnavailableError it may have been done
   * @throws SluiceError `SLUICE_BAD_NAME`, `SLUICE_BAD_OPTION`
   */
  async block(ref: RateLimitRef, key: string, ms: number): Promise<void> {
    const checked = checkBlock(ms, 'block: ms');
    const { keys } = this.#changed(this.#known.get(ref), key);
    this.#blockHere(keys, checked, false);
    await this.#store.block(keys, checked, false);
  }

  /** @internal As `block`, unless the key is blocked already. */
  async blockOnce(ref: RateLimitRef, key: string, ms: number): Promise<void> {
    const { keys } = this.#changed(this.#known.get(ref), key);
    this.#blockHere(keys, ms, true);
    await this.#store.block(keys, ms, true);
  }

  /** What this process has decided since it started, in total and for each rate limit. Sends nothing to Redis. */
  stats(): LimitStats {
    return this.#events.stats();
  }

  /** @internal The rate limit behind a reference. Decorators call it at boot, so that a wrong one fails the boot. */
  known(ref: RateLimitRef): KnownLimit {
    return this.#known.get(ref);
  }

  /**
   * @internal Charges a call to several rate limits of one key, in one script: to all of them, or to none. Each pair of them
   * `canJoin`.
   */
  reserveAll(members: readonly [KnownLimit, ...KnownLimit[]], key: string, cost: number): Promise<JointReservation> {
    return new Promise((resolve, reject) => {
      const known = this.#known.joint(members);
      const decided = (decision: RateLimitDecision, charge?: Charge): void => {
        const reserved = charge && this.#reserved(known, key, charge, cost);
        resolve({ decision, cancel: () => reserved?.cancel() ?? Promise.resolve() });
      };
      this.#ask(known.name, known, key, { cost }, decided, reject);
    });
  }

  /** @internal What holds for all routes. */
  get routing(): ResolvedLimitOptions['routing'] {
    return this.#options.routing;
  }

  #ask(
    call: string,
    known: KnownLimit,
    key: string,
    options: ConsumeOptions | undefined,
    decided: (decision: RateLimitDecision, charge?: Charge) => void,
    failed: (error: unknown) => void,
  ): void {
    const { cost, limit } = resolveConsume(call, options);
    const id = known.idOf(key);
    const refusal = this.#refusals.get(id, cost, limit);
    if (refusal !== undefined) {
      this.#events.refused(decidedOf(known, key, cost, refusal), true);
      decided(refusal);
      return;
    }
    const asked = { cost, waitUs: 0, limit, decided, failed };
    if (limit === undefined && known.limits !== undefined && cost > 0) {
      this.#calls.add(known, key, known.limits, asked, id);
      return;
    }
    const ask = (limits: readonly number[]): void => {
      if (cost === 0) this.#peek(known, key, limits, 0).then(decided, failed);
      else this.#calls.add(known, key, limits, asked, id);
    };
    this.#limitsOf(known, key, limit).then(ask).catch(failed);
  }

  async #peek(known: KnownLimit, key: string, limits: readonly number[], cost: number): Promise<RateLimitDecision> {
    const keys = this.#keys.of(key, known.keyNames);
    // A call that costs nothing fits wherever one unit fits at last: unless the key is blocked.
    const runs = [{ cost: Math.max(1, cost), calls: 1, waitUs: 0 }];
    for (;;) {
      const rules = known.rules(limits, this.#calls.serverMs);
      const reply = await this.#store.peek({ keys, rules, runs });
      const run = reply.runs?.[0];
      if (reply.runs !== undefined && run !== undefined) {
        return decisionOf({ known, rules, reply, run, decidedBy: 'redis' }, run.granted > 0 || cost === 0, 0);
      }
      this.#calls.learnServerTime(reply.nowUs);
    }
  }

  async #limitsOf(known: KnownLimit, key: string, limit: number | undefined): Promise<readonly number[]> {
    if (limit === undefined) return known.limits ?? known.limitsOf(key);
    if (known.parts.length === 1) return [limit];
    const message = `limit: rate limit '${known.name}' has several limits; give each a function of the key`;
    throw new SluiceError('SLUICE_BAD_OPTION', message);
  }

  #blockHere(keys: readonly string[], ms: number, once: boolean): void {
    const nowMs = this.#clock.monoMs();
    this.#local.block(keys, (nowMs + ms) * 1_000, once, nowMs * 1_000);
  }

  #reserved(known: KnownLimit, key: string, charge: Charge, units: number): Reserved {
    return new Reserved(charge, units, known.longestMs, {
      store: this.#store,
      local: this.#local,
      clock: this.#clock,
      changed: () => this.#changed(known, key),
    });
  }

  /** Forgets refusals of a key that is about to change. */
  #changed(known: KnownLimit, key: string): Pick<LimitRequest, 'keys'> {
    this.#refusals.delete(known.idOf(key));
    for (const name of known.jointNames) this.#refusals.delete(limitId(name, key));
    for (const member of known.members) this.#changed(member, key);
    return { keys: this.#keys.of(key, known.keyNames) };
  }
}
