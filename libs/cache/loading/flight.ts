import { ask } from './ask.js';
import { noted } from '../cache.errors.js';
import { encode } from '../codec/codec.js';
import { Copies } from '../local/decoded-copies.js';
import { glance } from './optimistic-read.js';
import { Grant, type Airspace, type Order } from './load-lease.js';
import type { Hot } from '../store/recently-seen.js';
import { Load, type Loader } from './loader-run.js';
import type { Answer } from '../store/scripts/ask.script.js';
import { textOf, type StoredValue } from '../store/stored-value.js';
import type { News, Request } from './push-router.js';

/** How a flight ended, if not with an error. */
export type Landing =
  | { readonly kind: 'value'; readonly copies: Copies }
  /** Not known to be loaded under a lease that lasted: right for those who asked before the loader ran. */
  | { readonly kind: 'overtaken'; readonly copies: Copies }
  /** The load was called off, because of an invalidation: everybody asks again. */
  | { readonly kind: 'again' };

type Landed = Extract<Landing, { kind: 'value' }>;

/**
 * For how long after its last question to Redis a flight may be joined while it waits for the outcome, or loads without a
 * lease. What it gets was valid after that question, so that no caller gets what was invalidated more than this before its call.
 */
const JOINABLE_MS = 1_000;

/** Waiters of a lease that expired ask again within this, not all in one moment. */
const SPREAD_MS = 10;

/** One read of one key on behalf of all callers in this process who ask meanwhile. */
export class Flight {
  readonly order: Order;
  readonly landing: Promise<Landing>;
  readonly #airspace: Airspace;
  readonly #loader: Loader<unknown>;
  /** Called when nobody may join any more, always before it lands. */
  readonly #leave: (flight: Flight) => void;
  /** Of the early refresh. */
  readonly #lot: number;
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

  constructor(airspace: Airspace, order: Order, loader: Loader<unknown>, leave: (flight: Flight) => void) {
    this.order = order;
    this.#airspace = airspace;
    this.#loader = loader;
    this.#leave = leave;
    this.#askedAtMs = airspace.clock.monoMs();
    const { earlyRefresh } = order.options;
    this.#lot = earlyRefresh === 0 ? 0 : -Math.log(1 - airspace.random()) * earlyRefresh;
    this.#turn = airspace.turn.number;
    this.landing = this.#fly();
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
    return strict ? this.#turn === this.#airspace.turn.number : this.#loading || this.#queued || this.#young;
  }

  get #young(): boolean {
    return this.#airspace.clock.monoMs() - this.#askedAtMs <= JOINABLE_MS;
  }

  /** From now on, an invalidation does not call the loader off: invalidations without end must not starve its callers. */
  insist(): void {
    this.#mustFinish = true;
  }

  /** One function from the question to the landing: whoever waits would pay for each further one with a promise job. */
  async #fly(): Promise<Landing> {
    const { store, wakeUps, hotKeys, closed, random } = this.#airspace;
    try {
      const hot = closed ? undefined : hotKeys.find(this.order.entry);
      const seen = hot && (await this.#look(hot));
      if (seen) return seen;
      for (;;) {
        const request = wakeUps.expect(store.newToken());
        try {
          let answer = await this.#ask(request, false);
          while (answer.kind === 'full') {
            await this.#queue(request);
            answer = await this.#ask(request, true);
          }
          let landing: Landing | undefined;
          if (answer.kind === 'wait') {
            const sinceMs = this.#waits();
            landing = this.#heard(await request.news(answer.remainingMs + 1 + random() * SPREAD_MS), sinceMs);
          } else landing = await this.#follow(request, answer);
          if (landing) return landing;
        } finally {
          if (!request.loading) wakeUps.done(request);
        }
      }
    } catch (error) {
      this.order.meter.error(this.order.key, error);
      throw error;
    } finally {
      this.#leave(this);
    }
  }

  /** A look at what had a value a moment ago; `undefined`: that decides nothing. */
  async #look(hot: Hot): Promise<Landing | undefined> {
    try {
      const value = await glance(this.#airspace, this.order, hot, this.#lot);
      const landing = value && this.#land(value);
      if (landing) this.order.meter.hit(this.order.key, 'redis');
      return landing;
    } catch (error) {
      return this.#withoutRedis(error);
    }
  }

  /** The answer of Redis, or where it gives none, what this process got without it. */
  async #ask(request: Request, woken: boolean): Promise<Answer | Landing> {
    const { closed, clock } = this.#airspace;
    this.#askedAtMs = clock.monoMs();
    if (closed) return this.#loadAlone();
    try {
      return await ask(this.#airspace, this.order, { token: request.token, lot: this.#lot, woken });
    } catch (error) {
      return this.#withoutRedis(error);
    }
  }

  /** Until there may be a slot at the source. */
  async #queue(request: Request): Promise<void> {
    const { store, random } = this.#airspace;
    this.#queued = true;
    this.order.onWait?.();
    // The timer is for a message that got lost, or a process that died after it was woken.
    await request.news(store.timing.leaseMs * (1 + random()));
    this.#queued = false;
    request.renew();
  }

  /** Follows an answer to its end; `undefined` means: ask again. */
  async #follow(
    request: Request,
    answer: Exclude<Answer, { kind: 'full' | 'wait' }> | Landing,
  ): Promise<Landing | undefined> {
    switch (answer.kind) {
      case 'hit':
      case 'stale':
        return this.#found(request, answer.value, answer);
      case 'load':
        this.order.meter.miss(this.order.key);
        return this.#granted(request);
      case 'error':
        throw noted(this.order.key, answer.failure, answer.remainingMs);
      default:
        return answer;
    }
  }

  /** What came of another's load. */
  #heard(news: News, sinceMs: number): Landing | undefined {
    const { key, meter } = this.order;
    meter.wait(key, this.#airspace.clock.monoMs() - sinceMs);
    if (news.verb === 'error') throw noted(key, news.failure);
    return news.verb === 'value' ? this.#landText(news.text) : undefined;
  }

  /** From when on it waits for another's load. */
  #waits(): number {
    const { key, meter, onWait } = this.order;
    meter.miss(key);
    onWait?.();
    return this.#airspace.clock.monoMs();
  }

  /** A value, and perhaps the right to refresh it, or a place among those who wait for who does. */
  async #found(
    request: Request,
    value: StoredValue,
    { kind, then }: Extract<Answer, { value: StoredValue }>,
  ): Promise<Landing | undefined> {
    const found = this.#land(value);
    if (found) this.order.meter.hit(this.order.key, kind === 'hit' ? 'redis' : 'stale');
    if (then === 'load') return found ? this.#refreshed(request, kind, found) : this.#granted(request);
    if (!found) return this.#discard();
    if (then === undefined) return found;
    const news = await request.news(this.order.options.softTimeoutMs);
    return (news.verb === 'value' ? this.#landText(news.text) : undefined) ?? found;
  }

  /** The value that is there, or its refresh, if that is due and comes in time. */
  async #refreshed(request: Request, kind: 'hit' | 'stale', found: Landed): Promise<Landing> {
    const refreshed = this.#refresh(request);
    if (kind === 'hit' || this.order.options.softTimeoutMs === 0) return found;
    const landing = await Promise.race([refreshed, this.#softTimeout()]);
    if (landing?.kind === 'value' || landing?.kind === 'overtaken') return landing;
    // Whoever joined late may have called after an invalidation.
    return { kind: 'overtaken', copies: found.copies };
  }

  /** A load whose error nobody gets: there is a value. */
  async #refresh(request: Request): Promise<Landing | undefined> {
    try {
      return await this.#granted(request);
    } catch (error) {
      this.#airspace.report(error, `refresh of '${this.order.key}'`);
      return undefined;
    }
  }

  #softTimeout(): Promise<undefined> {
    const { clock } = this.#airspace;
    return new Promise((resolve) => {
      clock.timer(this.order.options.softTimeoutMs, () => {
        resolve(undefined);
      });
    });
  }

  async #granted(request: Request): Promise<Landing | undefined> {
    const { store, clock } = this.#airspace;
    // Asked once more at most: where no answer comes within a lease, no lease can be kept either.
    const tooLate = clock.monoMs() - this.#askedAtMs >= store.timing.leaseMs && !this.#cameTooLate;
    if (!request.voided && !tooLate) return this.#loadForAll(request);
    // Voided, or probably expired, before the grant was read: nothing has been loaded yet, so nothing is lost by a new lease.
    this.#cameTooLate = true;
    store.release(this.order.entry, request.token).catch(() => {});
    const { source, maxConcurrentLoads: limit } = this.order.options;
    if (limit > 0) store.leaveSlot(source, request.token, limit).catch(() => {});
    return undefined;
  }

  /** Loads under the lease that the request was granted, and tells the fleet how it ended. */
  async #loadForAll(request: Request): Promise<Landing> {
    const load = new Load();
    const grant = new Grant(this.#airspace, this.order, request, () => {
      // Whoever asks from now on must not get what was read before the invalidation.
      this.#leave(this);
      if (!this.#mustFinish) load.abort();
    });
    this.#loading = true;
    const { turns } = this.#airspace;
    turns.enter(this.order.options);
    try {
      const value = await this.#run(load);
      const { copies, stored } = await grant.fill(value);
      return { kind: stored ? 'value' : 'overtaken', copies };
    } catch (error) {
      if (load.aborted) return { kind: 'again' };
      if (load.timedOut) grant.release();
      else await grant.fail(error);
      throw error;
    } finally {
      grant.end(load.settled);
      turns.leave(this.order.options, load.settled);
    }
  }

  /** Whatever keeps Redis from answering, readers get their value from the source, unless they rather get the error. */
  #withoutRedis(error: unknown): Promise<Landing> {
    if (this.order.options.onBackendDown === 'throw') throw error;
    return this.#loadAlone();
  }

  /** Without Redis: one load for this process, stored nowhere; as many at once at one source as the fleet may run. */
  async #loadAlone(): Promise<Landing> {
    const { turns } = this.#airspace;
    const { options } = this.order;
    if (options.maxConcurrentLoads > 0) {
      this.#queued = true;
      this.order.onWait?.();
      await turns.wait(options);
      this.#queued = false;
    }
    this.#loading = this.#alone = true;
    const load = new Load();
    const value = await this.#run(load).finally(() => {
      turns.leave(options, load.settled);
    });
    return {
      kind: 'overtaken',
      copies: new Copies(encode(value, { instances: options.revive !== undefined }), options.revive),
    };
  }

  async #run(load: Load): Promise<unknown> {
    const { key, options, meter } = this.order;
    const { clock } = this.#airspace;
    const sinceMs = clock.monoMs();
    try {
      return await load.run(key, this.#loader, options.loaderTimeoutMs, clock);
    } finally {
      meter.load(key, clock.monoMs() - sinceMs);
    }
  }

  /** Broken bytes are a miss: out of the way with them. Where they cannot be removed, asking again would find them again. */
  async #discard(): Promise<Landing | undefined> {
    try {
      await this.#airspace.store.discard(this.order.entry);
      return undefined;
    } catch (error) {
      return this.#withoutRedis(error);
    }
  }

  /** What was pushed: of its header nothing is asked. */
  #landText(stored: string): Landed | undefined {
    const text = textOf(stored);
    return text === undefined ? undefined : this.#read(text);
  }

  #land(value: StoredValue): Landed | undefined {
    const landed = this.#read(value.text);
    if (landed) this.#airspace.hotKeys.add(this.order.entry, value);
    return landed;
  }

  #read(text: string): Landed | undefined {
    try {
      return { kind: 'value', copies: new Copies(text, this.order.options.revive) };
    } catch {
      this.order.meter.broken(this.order.key);
      return undefined;
    }
  }
}
