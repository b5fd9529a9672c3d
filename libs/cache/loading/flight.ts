import { tryGet, type FoundOutcome } from './ask.js';
import type { Copies } from '../local/decoded-copies.js';
import { FirstAnswer } from './first-answer.js';
import { Inquiry, type Step } from './inquiry.js';
import type { WaitNode } from './load-scopes.js';
import { LoadLease } from './load-lease.js';
import type { ReadContext, ReadRequest } from './read-context.js';
import type { SeenEntry } from '../store/recently-seen.js';
import { CacheLoaderTimeoutError } from '../cache.errors.js';
import { LoaderRun, runInScope, type Loader } from './loader-run.js';
import { copyInOutage, keepInOutage } from './outage-copies.js';
import type { WaitTicket } from './wait-ticket.js';

/** How a flight ended, if not with an error. */
export type Outcome =
  | FoundOutcome
  /** No lease is known to have lasted for the whole load. The value is right for callers that asked before the loader ran. */
  | { readonly kind: 'superseded'; readonly copies: Copies }
  /** An invalidation aborted the load. Every caller asks again. */
  | { readonly kind: 'retry' };

/**
 * For how long after its last question to Redis a flight may be joined while it waits for the outcome of a load, or loads
 * without a lease. The value that the flight gets was valid after that question. So no caller gets a value that was invalidated
 * more than this time before its call.
 */
const JOINABLE_MS = 1_000;

/** If Redis tells a flight under `strict` to wait for a load, the next flight of the same key asks Redis this much later. */
const ASK_AGAIN_MS = 50;

/** Requests that wait for a lease that expired ask again at random moments within this time, not all at once. */
const SPREAD_MS = 10;

/**
 * One read of one key, on behalf of all callers in this process that ask for the key meanwhile.
 *
 * @see docs/internals/cache.md#one-read-in-the-process
 */
export class Flight implements WaitNode {
  readonly request: ReadRequest;
  readonly outcome: Promise<Outcome>;
  waitsFor: Set<WaitNode> | undefined = undefined;
  /** The next flight in the list of flights of this entry. */
  next: Flight | undefined = undefined;
  readonly #context: ReadContext;
  readonly #loader: Loader<unknown>;
  /** Called when no request may join this flight any more. It is always called before the flight ends. */
  readonly #leave: (flight: Flight) => void;
  /** The random draw for the early refresh. */
  readonly #earlyRefreshDraw: number;
  /** Under `strict`: the next flight of this key asks Redis after this answer. */
  readonly #firstAnswer: FirstAnswer | undefined;
  /** This flight has begun to ask Redis, or the source. */
  #asks = false;
  readonly #startedAtMs: number;
  /** Asks Redis for this flight. Undefined until it is needed. */
  #inquiry: Inquiry | undefined = undefined;
  /** This flight waits for its turn at the source, without Redis. */
  #queued = false;
  /** The loader has been called. */
  #loading = false;
  /** The loader has been called without a lease. */
  #alone = false;
  #mustFinish = false;

  /** @param before under `strict`, the latest flight of the same entry: this flight asks after that flight's first answer */
  constructor(
    context: ReadContext,
    request: ReadRequest,
    loader: Loader<unknown>,
    leave: (flight: Flight) => void,
    before?: Flight,
  ) {
    this.request = request;
    this.#context = context;
    this.#loader = loader;
    this.#leave = leave;
    this.#startedAtMs = context.clock.monoMs();
    const { earlyRefresh, consistency } = request.options;
    this.#earlyRefreshDraw = earlyRefresh === 0 ? 0 : -Math.log(1 - context.random()) * earlyRefresh;
    const strict = consistency === 'strict';
    this.#firstAnswer = strict ? new FirstAnswer() : undefined;
    this.outcome = strict ? (before?.firstAnswer ?? Promise.resolve()).then(() => this.#run()) : this.#run();
  }

  /**
   * True if a caller that joins now may have called after an invalidation that this load does not know of. No message about an
   * invalidation reaches a load without a lease. Such a load is still not late while the flight is young: Redis is away then, and
   * a second load for all callers that came a moment later would not help.
   */
  get late(): boolean {
    return this.#loading && !(this.#alone && this.#young);
  }

  /** The loader of this flight has been called. If its value comes in time, it was loaded with the tags of this request. */
  get loading(): boolean {
    return this.#loading;
  }

  get key(): string {
    return this.request.key;
  }

  /** Under `strict`: resolves when Redis has answered the first question of this flight. */
  get firstAnswer(): Promise<void> | undefined {
    return this.#firstAnswer?.given;
  }

  /** True if this request gets from this flight what it would get from a flight of its own. */
  accepts(request: ReadRequest): boolean {
    if (!this.serves(request)) return false;
    // The loader that makes this request holds a slot at the source. It must not wait behind requests that wait for that slot.
    if (this.#waitsForSlot && request.limit < this.request.limit) return false;
    return this.#joinable(request.options.consistency === 'strict');
  }

  /** True if the options that decide what a caller gets, and how long the caller waits, are the same. */
  serves({ options }: ReadRequest): boolean {
    const { options: own } = this.request;
    return (
      own === options ||
      ((own.revive === undefined) === (options.revive === undefined) &&
        own.staleMs === options.staleMs &&
        own.softTimeoutMs === options.softTimeoutMs &&
        own.loaderTimeoutMs === options.loaderTimeoutMs &&
        own.onBackendDown === options.onBackendDown)
    );
  }

  /**
   * Under `strict`, a request joins only a flight that asks Redis later than the request is made. To be in the same turn of the
   * event loop is not enough: a question can be sent and answered before the turn ends, and meanwhile another process can
   * invalidate the key.
   */
  #joinable(strict: boolean): boolean {
    if (this.#waitsForSlot) return true;
    return strict ? !this.#asks : this.#loading || this.#young;
  }

  /** True while this flight waits for a slot. It asks for its value later than now. */
  get #waitsForSlot(): boolean {
    return this.#queued || this.#inquiry?.queued === true;
  }

  get #young(): boolean {
    return this.#context.clock.monoMs() - (this.#inquiry?.askedAtMs ?? this.#startedAtMs) <= JOINABLE_MS;
  }

  /** From now on, an invalidation does not abort the loader. Endless invalidations must not keep callers without a value. */
  loadToCompletion(): void {
    this.#mustFinish = true;
  }

  /** One function from the question to the outcome. Each further function would cost every caller a promise job (ADR 18). */
  async #run(): Promise<Outcome> {
    this.#asks = true;
    const { recentlySeen, closed, random } = this.#context;
    try {
      const seen = closed ? undefined : recentlySeen.find(this.request.entry);
      const found = seen && (await this.#tryGet(seen));
      if (found) return found;
      const inquiry = new Inquiry(this.#context, this.request, this.#earlyRefreshDraw);
      this.#inquiry = inquiry;
      try {
        for (;;) {
          const step = await inquiry.next();
          this.#answered(step);
          let outcome: Outcome | undefined;
          if (step.kind === 'wait') {
            const sinceMs = this.#context.clock.monoMs();
            const pushed = await inquiry.ticket.outcome(step.forMs + random() * SPREAD_MS);
            this.request.meter.wait(this.request.key, this.#context.clock.monoMs() - sinceMs);
            outcome = inquiry.read(pushed);
          } else outcome = await this.#follow(inquiry, step);
          if (outcome) return outcome;
        }
      } finally {
        inquiry.end();
      }
    } catch (error) {
      this.request.meter.error(this.request.key, error);
      throw error;
    } finally {
      this.#firstAnswer?.give();
      this.#leave(this);
    }
  }

  /** A flight that waits for a load lets the next flight ask after a while: that load may have been invalidated meanwhile. */
  #answered({ kind }: Step): void {
    const first = this.#firstAnswer;
    if (first === undefined) return;
    if (kind === 'wait') this.#context.clock.timer(ASK_AGAIN_MS, first.give);
    else first.give();
  }

  /** Reads an entry that had a value a moment ago. `undefined` decides nothing. */
  async #tryGet(seen: SeenEntry): Promise<Outcome | undefined> {
    try {
      const found = await tryGet(this.#context, this.request, seen, this.#earlyRefreshDraw);
      if (found) this.request.meter.hit(this.request.key, 'redis');
      return found;
    } catch (error) {
      return this.#withoutRedis(error);
    }
  }

  /** Acts on the answer of Redis until there is an outcome. `undefined`: ask again. */
  #follow(inquiry: Inquiry, step: Exclude<Step, { kind: 'wait' }>): Outcome | undefined | Promise<Outcome | undefined> {
    switch (step.kind) {
      case 'found':
        if (step.then === 'load') return this.#refreshed(inquiry.ticket, step);
        return step.then === 'wait' ? inquiry.refreshed(step.found) : step.found;
      case 'load':
        return this.#loadForAll(inquiry.ticket);
      case 'failed':
        throw step.error;
      case 'unavailable':
        return this.#withoutRedis(step.error);
    }
  }

  /** The value that Redis had. If that is stale: the refreshed value, provided that it comes within `softTimeoutMs`. */
  async #refreshed(ticket: WaitTicket, { found, stale }: Extract<Step, { kind: 'found' }>): Promise<Outcome> {
    const atOnce = !stale || this.request.options.softTimeoutMs === 0;
    // The callers do not wait for the loader. So a read of this key that the loader makes does not wait for itself.
    if (atOnce) this.#leave(this);
    const refreshed = this.#refresh(ticket);
    if (atOnce) return found;
    const outcome = await Promise.race([refreshed, this.#softTimeout()]);
    if (outcome?.kind === 'value' || outcome?.kind === 'superseded') return outcome;
    // A caller that joined during the load may have called after an invalidation.
    return { kind: 'superseded', copies: found.copies };
  }

  /** A load whose error no caller gets, because the callers have a value. */
  async #refresh(ticket: WaitTicket): Promise<Outcome | undefined> {
    try {
      return await this.#loadForAll(ticket);
    } catch (error) {
      this.#context.report(error, `refresh of '${this.request.key}'`);
      return undefined;
    }
  }

  #softTimeout(): Promise<undefined> {
    const { clock } = this.#context;
    return new Promise((resolve) => {
      clock.timer(this.request.options.softTimeoutMs, () => {
        resolve(undefined);
      });
    });
  }

  /** Loads under the lease that the request was granted, and tells the fleet how the load ended. */
  async #loadForAll(ticket: WaitTicket): Promise<Outcome> {
    const load = new LoaderRun();
    const grant = new LoadLease(this.#context, this.request, ticket, () => {
      // Requests from now on must not get what was read before the invalidation.
      this.#leave(this);
      if (!this.#mustFinish) load.abort();
    });
    this.#loading = true;
    const { loadLimiter } = this.#context;
    const { limit, options } = this.request;
    loadLimiter.enter(options.source, limit);
    try {
      const value = await this.#runLoader(load);
      const { copies, current } = await grant.fill(value);
      return { kind: current ? 'value' : 'superseded', copies };
    } catch (error) {
      if (load.aborted) return { kind: 'retry' };
      if (load.timedOut) grant.release();
      else await grant.fail(error);
      throw error;
    } finally {
      grant.end(load.settled);
      loadLimiter.leave(options.source, limit, load.settled);
    }
  }

  /**
   * Redis did not answer, for whatever reason. `onBackendDown` says what readers get: an error, a copy, or the value from its
   * source.
   */
  async #withoutRedis(error: unknown): Promise<Outcome> {
    if (this.request.options.onBackendDown === 'throw') throw error;
    const copies = copyInOutage(this.#context, this.request);
    return copies ? { kind: 'value', copies } : this.#loadAlone();
  }

  /**
   * Loads without Redis: once for this process, and the value is not stored. This process runs as many loads at once at one
   * source as the whole fleet may run.
   */
  async #loadAlone(): Promise<Outcome> {
    const { loadLimiter, clock } = this.#context;
    const { options, limit, key } = this.request;
    if (limit > 0) {
      this.#queued = true;
      this.request.onWait?.();
      const granted = await loadLimiter.wait(options.source, limit, options.loaderTimeoutMs, clock);
      this.#queued = false;
      if (!granted) throw new CacheLoaderTimeoutError(key, options.loaderTimeoutMs, 'a slot at its source');
    }
    this.#loading = this.#alone = true;
    const load = new LoaderRun();
    const copies = await keepInOutage(this.#context, this.request, () =>
      this.#runLoader(load).finally(() => {
        loadLimiter.leave(options.source, limit, load.settled);
      }),
    );
    return { kind: 'superseded', copies };
  }

  #runLoader(load: LoaderRun): Promise<unknown> {
    return runInScope(this.#context, this.request, this, load, this.#loader);
  }
}
