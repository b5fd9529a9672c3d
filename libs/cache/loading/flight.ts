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
  /** Not known to be loaded under a lease that lasted: right for those who asked before the loader ran. */
  | { readonly kind: 'superseded'; readonly copies: Copies }
  /** The load was called off, because of an invalidation: everybody asks again. */
  | { readonly kind: 'retry' };

/**
 * For how long after its last question to Redis a flight may be joined while it waits for the outcome, or loads without a
 * lease. What it gets was valid after that question, so that no caller gets what was invalidated more than this before its call.
 */
const JOINABLE_MS = 1_000;

/** So long after a flight under `strict` was told to wait for a load, the next one of the same key asks Redis. */
const ASK_AGAIN_MS = 50;

/** Waiters of a lease that expired ask again within this, not all in one moment. */
const SPREAD_MS = 10;

/**
 * One read of one key on behalf of all callers in this process who ask meanwhile.
 *
 * @see docs/internals/cache.md#one-read-in-the-process
 */
export class Flight implements WaitNode {
  readonly request: ReadRequest;
  readonly outcome: Promise<Outcome>;
  waitsFor: Set<WaitNode> | undefined = undefined;
  /** In the list of flights of this entry. */
  next: Flight | undefined = undefined;
  readonly #context: ReadContext;
  readonly #loader: Loader<unknown>;
  /** Called when nobody may join any more, always before it lands. */
  readonly #leave: (flight: Flight) => void;
  /** Of the early refresh. */
  readonly #earlyRefreshDraw: number;
  /** Under `strict`: the next flight of this key asks Redis after it. */
  readonly #firstAnswer: FirstAnswer | undefined;
  /** It has begun to ask Redis, or the source. */
  #asks = false;
  readonly #startedAtMs: number;
  /** What it asks Redis, once it does. */
  #inquiry: Inquiry | undefined = undefined;
  /** It waits for its turn at the source, without Redis. */
  #queued = false;
  /** The loader has been called. */
  #loading = false;
  /** It has been called without a lease. */
  #alone = false;
  #mustFinish = false;

  /** @param before under `strict`, the latest flight of the same entry: this one asks when that one has its first answer */
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
   * Whoever joins now may call after an invalidation that what is loaded does not know of. Without a lease nobody would tell
   * of one; but while Redis is away, a second load for all who came a moment later were no cure.
   */
  get late(): boolean {
    return this.#loading && !(this.#alone && this.#young);
  }

  /** Its own loader has been called: what it lands, if it is not too late for that, was loaded with the order's tags. */
  get loading(): boolean {
    return this.#loading;
  }

  get key(): string {
    return this.request.key;
  }

  /** Under `strict`: resolves when Redis has answered its first question. */
  get firstAnswer(): Promise<void> | undefined {
    return this.#firstAnswer?.given;
  }

  /** This request gets from it what it would get alone. */
  accepts(request: ReadRequest): boolean {
    if (!this.serves(request)) return false;
    // It holds a slot at the source, and must not wait for another behind those that wait for its own.
    if (this.#waitsForSlot && request.limit < this.request.limit) return false;
    return this.#joinable(request.options.consistency === 'strict');
  }

  /** The options that decide what a caller gets, and how long it waits, are the same. */
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
   * Under `strict`, a request joins only a flight that asks Redis later than the request is made. One turn of the event loop
   * is no measure of that: a question can leave, and be answered, before the turn ends, and meanwhile another process
   * invalidates.
   */
  #joinable(strict: boolean): boolean {
    if (this.#waitsForSlot) return true;
    return strict ? !this.#asks : this.#loading || this.#young;
  }

  /** Whatever it gets, it will have asked for later. */
  get #waitsForSlot(): boolean {
    return this.#queued || this.#inquiry?.queued === true;
  }

  get #young(): boolean {
    return this.#context.clock.monoMs() - (this.#inquiry?.askedAtMs ?? this.#startedAtMs) <= JOINABLE_MS;
  }

  /** From now on, an invalidation does not call the loader off: invalidations without end must not starve its callers. */
  loadToCompletion(): void {
    this.#mustFinish = true;
  }

  /** One function from the question to the outcome: each further one would cost every caller a promise job (ADR 18). */
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

  /** A flight that waits for a load lets the next one ask after a while: that load may have been invalidated meanwhile. */
  #answered({ kind }: Step): void {
    const first = this.#firstAnswer;
    if (first === undefined) return;
    if (kind === 'wait') this.#context.clock.timer(ASK_AGAIN_MS, first.give);
    else first.give();
  }

  /** Reads what had a value a moment ago; `undefined` decides nothing. */
  async #tryGet(seen: SeenEntry): Promise<Outcome | undefined> {
    try {
      const found = await tryGet(this.#context, this.request, seen, this.#earlyRefreshDraw);
      if (found) this.request.meter.hit(this.request.key, 'redis');
      return found;
    } catch (error) {
      return this.#withoutRedis(error);
    }
  }

  /** Follows an answer to its end; `undefined`: ask again. */
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

  /** The value that is there, or its refresh, if that is due and comes in time. */
  async #refreshed(ticket: WaitTicket, { found, stale }: Extract<Step, { kind: 'found' }>): Promise<Outcome> {
    const atOnce = !stale || this.request.options.softTimeoutMs === 0;
    // Its callers do not wait for the loader: a read that the loader makes of this key does not wait for itself.
    if (atOnce) this.#leave(this);
    const refreshed = this.#refresh(ticket);
    if (atOnce) return found;
    const outcome = await Promise.race([refreshed, this.#softTimeout()]);
    if (outcome?.kind === 'value' || outcome?.kind === 'superseded') return outcome;
    // A caller that joined during the load may have called after an invalidation.
    return { kind: 'superseded', copies: found.copies };
  }

  /** A load whose error no caller gets: there is a value. */
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

  /** Loads under the lease that the request was granted, and tells the fleet how it ended. */
  async #loadForAll(ticket: WaitTicket): Promise<Outcome> {
    const load = new LoaderRun();
    const grant = new LoadLease(this.#context, this.request, ticket, () => {
      // Whoever asks from now on must not get what was read before the invalidation.
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
   * Whatever keeps Redis from answering, `onBackendDown` says what readers get: an error, a copy, or the value from its source.
   */
  async #withoutRedis(error: unknown): Promise<Outcome> {
    if (this.request.options.onBackendDown === 'throw') throw error;
    const copies = copyInOutage(this.#context, this.request);
    return copies ? { kind: 'value', copies } : this.#loadAlone();
  }

  /** Without Redis: one load for this process, not stored; as many at once at one source as the fleet may run. */
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
