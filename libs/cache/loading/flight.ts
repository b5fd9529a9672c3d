import { ask } from './ask.js';
import { noted } from '../cache.errors.js';
import { encode } from '../codec/codec.js';
import { DecodedCopies } from '../local/decoded-copies.js';
import { readOptimistically } from './optimistic-read.js';
import { LoadLease } from './load-lease.js';
import type { ReadContext, ReadRequest } from './read-context.js';
import type { SeenEntry } from '../store/recently-seen.js';
import { LoaderRun, type Loader } from './loader-run.js';
import type { Answer } from '../store/scripts/ask.script.js';
import { textOf, type StoredValue } from '../store/stored-value.js';
import type { PushedOutcome, WaitTicket } from './push-router.js';

/** How a flight ended, if not with an error. */
export type Outcome =
  | { readonly kind: 'value'; readonly copies: DecodedCopies }
  /** Not known to be loaded under a lease that lasted: right for those who asked before the loader ran. */
  | { readonly kind: 'superseded'; readonly copies: DecodedCopies }
  /** The load was called off, because of an invalidation: everybody asks again. */
  | { readonly kind: 'retry' };

type FoundOutcome = Extract<Outcome, { kind: 'value' }>;

/**
 * For how long after its last question to Redis a flight may be joined while it waits for the outcome, or loads without a
 * lease. What it gets was valid after that question, so that no caller gets what was invalidated more than this before its call.
 */
const JOINABLE_MS = 1_000;

/** Waiters of a lease that expired ask again within this, not all in one moment. */
const SPREAD_MS = 10;

/** One read of one key on behalf of all callers in this process who ask meanwhile. */
export class Flight {
  readonly request: ReadRequest;
  readonly outcome: Promise<Outcome>;
  readonly #context: ReadContext;
  readonly #loader: Loader<unknown>;
  /** Called when nobody may join any more, always before it lands. */
  readonly #leave: (flight: Flight) => void;
  /** Of the early refresh. */
  readonly #earlyRefreshDraw: number;
  /** The turn of the event loop in which it first asks. */
  readonly #turn: number;
  #askedAtMs: number;
  /** It waits to ask again: whatever it gets, it will have asked for later. */
  #queued = false;
  /** The loader has been called. */
  #loading = false;
  /** It has been called without a lease. */
  #alone = false;
  #mustFinish = false;
  /** A grant was read when its lease had passed: this process was held up. */
  #cameTooLate = false;

  constructor(context: ReadContext, request: ReadRequest, loader: Loader<unknown>, leave: (flight: Flight) => void) {
    this.request = request;
    this.#context = context;
    this.#loader = loader;
    this.#leave = leave;
    this.#askedAtMs = context.clock.monoMs();
    const { earlyRefresh } = request.options;
    this.#earlyRefreshDraw = earlyRefresh === 0 ? 0 : -Math.log(1 - context.random()) * earlyRefresh;
    this.#turn = context.turn.number;
    this.outcome = this.#run();
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

  /** Under `strict`, only who asks no earlier than its callers do may be joined: a push or a reply on its way may be older. */
  joinable(strict: boolean): boolean {
    // What one turn of the event loop sends leaves when it ends: who joins before asks as late as the first.
    return strict ? this.#turn === this.#context.turn.number : this.#loading || this.#queued || this.#young;
  }

  get #young(): boolean {
    return this.#context.clock.monoMs() - this.#askedAtMs <= JOINABLE_MS;
  }

  /** From now on, an invalidation does not call the loader off: invalidations without end must not starve its callers. */
  loadToCompletion(): void {
    this.#mustFinish = true;
  }

  /** One function from the question to the landing: whoever waits would pay for each further one with a promise job. */
  async #run(): Promise<Outcome> {
    const { store, pushRouter, recentlySeen, closed, random } = this.#context;
    try {
      const hot = closed ? undefined : recentlySeen.find(this.request.entry);
      const seen = hot && (await this.#tryGet(hot));
      if (seen) return seen;
      for (;;) {
        const ticket = pushRouter.expect(store.newToken());
        try {
          let answer = await this.#ask(ticket, false);
          while (answer.kind === 'full') {
            await this.#queue(ticket);
            answer = await this.#ask(ticket, true);
          }
          let outcome: Outcome | undefined;
          if (answer.kind === 'wait') {
            const sinceMs = this.#waits();
            outcome = this.#heard(await ticket.news(answer.remainingMs + 1 + random() * SPREAD_MS), sinceMs);
          } else outcome = await this.#follow(ticket, answer);
          if (outcome) return outcome;
        } finally {
          if (!ticket.loading) pushRouter.done(ticket);
        }
      }
    } catch (error) {
      this.request.meter.error(this.request.key, error);
      throw error;
    } finally {
      this.#leave(this);
    }
  }

  /** A look at what had a value a moment ago; `undefined`: that decides nothing. */
  async #tryGet(hot: SeenEntry): Promise<Outcome | undefined> {
    try {
      const value = await readOptimistically(this.#context, this.request, hot, this.#earlyRefreshDraw);
      const outcome = value && this.#land(value);
      if (outcome) this.request.meter.hit(this.request.key, 'redis');
      return outcome;
    } catch (error) {
      return this.#withoutRedis(error);
    }
  }

  /** The answer of Redis, or where it gives none, what this process got without it. */
  async #ask(ticket: WaitTicket, retryForSlot: boolean): Promise<Answer | Outcome> {
    const { closed, clock } = this.#context;
    this.#askedAtMs = clock.monoMs();
    if (closed) return this.#loadAlone();
    try {
      const earlyRefreshDraw = this.#earlyRefreshDraw;
      return await ask(this.#context, this.request, { token: ticket.token, earlyRefreshDraw, retryForSlot });
    } catch (error) {
      return this.#withoutRedis(error);
    }
  }

  /** Until there may be a slot at the source. */
  async #queue(ticket: WaitTicket): Promise<void> {
    const { store, random } = this.#context;
    this.#queued = true;
    this.request.onWait?.();
    // The timer is for a message that got lost, or a process that died after it was woken.
    await ticket.news(store.timing.leaseMs * (1 + random()));
    this.#queued = false;
    ticket.renew();
  }

  /** Follows an answer to its end; `undefined` means: ask again. */
  async #follow(
    ticket: WaitTicket,
    answer: Exclude<Answer, { kind: 'full' | 'wait' }> | Outcome,
  ): Promise<Outcome | undefined> {
    switch (answer.kind) {
      case 'hit':
      case 'stale':
        return this.#found(ticket, answer.value, answer);
      case 'load':
        this.request.meter.miss(this.request.key);
        return this.#granted(ticket);
      case 'error':
        throw noted(this.request.key, answer.failure, answer.remainingMs);
      default:
        return answer;
    }
  }

  /** What came of another's load. */
  #heard(news: PushedOutcome, sinceMs: number): Outcome | undefined {
    const { key, meter } = this.request;
    meter.wait(key, this.#context.clock.monoMs() - sinceMs);
    if (news.verb === 'error') throw noted(key, news.failure);
    return news.verb === 'value' ? this.#landText(news.text) : undefined;
  }

  /** From when on it waits for another's load. */
  #waits(): number {
    const { key, meter, onWait } = this.request;
    meter.miss(key);
    onWait?.();
    return this.#context.clock.monoMs();
  }

  /** A value, and perhaps the right to refresh it, or a place among those who wait for who does. */
  async #found(
    ticket: WaitTicket,
    value: StoredValue,
    { kind, then }: Extract<Answer, { value: StoredValue }>,
  ): Promise<Outcome | undefined> {
    const found = this.#land(value);
    if (found) this.request.meter.hit(this.request.key, kind === 'hit' ? 'redis' : 'stale');
    if (then === 'load') return found ? this.#refreshed(ticket, kind, found) : this.#granted(ticket);
    if (!found) return this.#discard();
    if (then === undefined) return found;
    const news = await ticket.news(this.request.options.softTimeoutMs);
    return (news.verb === 'value' ? this.#landText(news.text) : undefined) ?? found;
  }

  /** The value that is there, or its refresh, if that is due and comes in time. */
  async #refreshed(ticket: WaitTicket, kind: 'hit' | 'stale', found: FoundOutcome): Promise<Outcome> {
    const refreshed = this.#refresh(ticket);
    if (kind === 'hit' || this.request.options.softTimeoutMs === 0) return found;
    const outcome = await Promise.race([refreshed, this.#softTimeout()]);
    if (outcome?.kind === 'value' || outcome?.kind === 'superseded') return outcome;
    // Whoever joined late may have called after an invalidation.
    return { kind: 'superseded', copies: found.copies };
  }

  /** A load whose error nobody gets: there is a value. */
  async #refresh(ticket: WaitTicket): Promise<Outcome | undefined> {
    try {
      return await this.#granted(ticket);
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

  async #granted(ticket: WaitTicket): Promise<Outcome | undefined> {
    const { store, clock } = this.#context;
    // Asked once more at most: where no answer comes within a lease, no lease can be kept either.
    const tooLate = clock.monoMs() - this.#askedAtMs >= store.timing.leaseMs && !this.#cameTooLate;
    if (!ticket.voided && !tooLate) return this.#loadForAll(ticket);
    // Voided, or probably expired, before the grant was read: nothing has been loaded yet, so nothing is lost by a new lease.
    this.#cameTooLate = true;
    store.release(this.request.entry, ticket.token).catch(() => {});
    const { source, maxConcurrentLoads: limit } = this.request.options;
    if (limit > 0) store.leaveSlot(source, ticket.token, limit).catch(() => {});
    return undefined;
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
    loadLimiter.enter(this.request.options);
    try {
      const value = await this.#runLoader(load);
      const { copies, stored } = await grant.fill(value);
      return { kind: stored ? 'value' : 'superseded', copies };
    } catch (error) {
      if (load.aborted) return { kind: 'retry' };
      if (load.timedOut) grant.release();
      else await grant.fail(error);
      throw error;
    } finally {
      grant.end(load.settled);
      loadLimiter.leave(this.request.options, load.settled);
    }
  }

  /** Whatever keeps Redis from answering, readers get their value from the source, unless they rather get the error. */
  #withoutRedis(error: unknown): Promise<Outcome> {
    if (this.request.options.onBackendDown === 'throw') throw error;
    return this.#loadAlone();
  }

  /** Without Redis: one load for this process, stored nowhere; as many at once at one source as the fleet may run. */
  async #loadAlone(): Promise<Outcome> {
    const { loadLimiter } = this.#context;
    const { options } = this.request;
    if (options.maxConcurrentLoads > 0) {
      this.#queued = true;
      this.request.onWait?.();
      await loadLimiter.wait(options);
      this.#queued = false;
    }
    this.#loading = this.#alone = true;
    const load = new LoaderRun();
    const value = await this.#runLoader(load).finally(() => {
      loadLimiter.leave(options, load.settled);
    });
    const text = encode(value, { instances: options.revive !== undefined });
    return { kind: 'superseded', copies: new DecodedCopies(text, options.revive) };
  }

  async #runLoader(load: LoaderRun): Promise<unknown> {
    const { key, options, meter } = this.request;
    const { clock } = this.#context;
    const sinceMs = clock.monoMs();
    try {
      return await load.run(key, this.#loader, options.loaderTimeoutMs, clock);
    } finally {
      meter.load(key, clock.monoMs() - sinceMs);
    }
  }

  /** Broken bytes are a miss: out of the way with them. Where they cannot be removed, asking again would find them again. */
  async #discard(): Promise<Outcome | undefined> {
    try {
      await this.#context.store.discard(this.request.entry);
      return undefined;
    } catch (error) {
      return this.#withoutRedis(error);
    }
  }

  /** What was pushed: of its header nothing is asked. */
  #landText(stored: string): FoundOutcome | undefined {
    const text = textOf(stored);
    return text === undefined ? undefined : this.#read(text);
  }

  #land(value: StoredValue): FoundOutcome | undefined {
    const landed = this.#read(value.text);
    if (landed) this.#context.recentlySeen.add(this.request.entry, value);
    return landed;
  }

  #read(text: string): FoundOutcome | undefined {
    try {
      return { kind: 'value', copies: new DecodedCopies(text, this.request.options.revive) };
    } catch {
      this.request.meter.broken(this.request.key);
      return undefined;
    }
  }
}
