import { CacheLoaderTimeoutError } from '../cache.errors.js';
import type { Answer } from '../store/scripts/ask.script.js';
import { textOf } from '../store/stored-value.js';
import { debug } from '../observe/cache.debug.js';
import { askFor, decodedOutcome, foundOutcome, type FoundOutcome } from './ask.js';
import { circular, loads } from './load-scopes.js';
import type { ReadContext, ReadRequest } from './read-context.js';
import type { PushedOutcome, WaitTicket } from './wait-ticket.js';

/** What a reader does next, according to the answer of Redis. */
export type Step =
  /** `then`: the reader also has the lease to refresh the value, or is registered for the outcome of a refresh that runs. */
  | {
      readonly kind: 'found';
      readonly found: FoundOutcome;
      readonly stale: boolean;
      readonly then: 'load' | 'wait' | undefined;
    }
  /** The reader has the lease. */
  | { readonly kind: 'load' }
  /** The reader is registered for the outcome of another load. */
  | { readonly kind: 'wait'; readonly forMs: number }
  | { readonly kind: 'failed'; readonly error: unknown }
  | Unavailable;

/** Redis did not answer, or refused. Or this process is closing, and does not ask. */
interface Unavailable {
  readonly kind: 'unavailable';
  readonly error: unknown;
}

const LOAD: Step = { kind: 'load' };

/**
 * The questions that one read asks Redis. The read has a loader, or is a load by hand. It asks again until the answer is one to
 * act on.
 */
export class Inquiry {
  readonly #context: ReadContext;
  readonly #request: ReadRequest;
  readonly #earlyRefreshDraw: number;
  /**
   * Until this time the read waits for a slot or for another load. If many loads fail one after the other, no caller waits for
   * all of them.
   */
  readonly #deadlineMs: number;
  #ticket: WaitTicket | undefined;
  #askedAtMs: number;
  #queued = false;
  /** A granted lease was already over when the answer was read, because this process was held up. */
  #cameTooLate = false;

  constructor(context: ReadContext, request: ReadRequest, earlyRefreshDraw: number) {
    this.#context = context;
    this.#request = request;
    this.#earlyRefreshDraw = earlyRefreshDraw;
    this.#askedAtMs = context.clock.monoMs();
    this.#deadlineMs = this.#askedAtMs + request.options.loaderTimeoutMs;
  }

  /** When the last question was asked. */
  get askedAtMs(): number {
    return this.#askedAtMs;
  }

  /** True while the read waits for a slot. It will ask again, later than now. */
  get queued(): boolean {
    return this.#queued;
  }

  /** The ticket of the last question: for what was granted, or for what the read waits for. */
  get ticket(): WaitTicket {
    return this.#ticket as WaitTicket;
  }

  async next(): Promise<Step> {
    for (;;) {
      this.end();
      const { store, pushRouter } = this.#context;
      this.#ticket = pushRouter.expect(store.newToken());
      let answer = await this.#ask(false);
      while (answer.kind === 'full') {
        if (this.#leftMs() <= 0) return this.#timedOut('a slot at its source');
        await this.#awaitSlot(this.#ticket);
        answer = await this.#ask(true);
      }
      const step = answer.kind === 'unavailable' ? answer : this.#stepOf(answer, this.#ticket);
      if (step) return step;
      // A value that cannot be read is a miss. If the value cannot be removed, another question would find it again.
      const failed = 'value' in answer && !answer.then ? await this.#discard() : undefined;
      if (failed) return failed;
    }
  }

  /** Ends the ticket of the last question, unless a load that was granted to it runs. */
  end(): void {
    if (this.#ticket?.loading === false) this.#context.pushRouter.done(this.#ticket);
  }

  /**
   * Gives back the lease, and the slot, that the last question was granted. Not awaited: the store repeats what Redis does
   * not confirm.
   */
  giveUp(): void {
    const { store } = this.#context;
    const { entry, options } = this.#request;
    const { token } = this.ticket;
    store.release(entry, token).catch(() => {});
    const { limit } = this.#request;
    if (limit > 0) store.leaveSlot(options.source, token, limit).catch(() => {});
  }

  /** The value that was pushed to the ticket. `undefined`: ask again. Throws the error of the load that the ticket waited for. */
  read(pushed: PushedOutcome): FoundOutcome | undefined {
    if (pushed.verb === 'error') throw this.#errorFor(pushed.failure);
    if (pushed.verb === 'again') return undefined;
    // The header is not needed.
    const text = textOf(pushed.text);
    return text === undefined ? undefined : decodedOutcome(this.#request, text);
  }

  /** The outcome of the refresh that the ticket is registered for, or after `softTimeoutMs` the stale value. */
  async refreshed(stale: FoundOutcome): Promise<FoundOutcome> {
    const pushed = await this.ticket.outcome(this.#request.options.softTimeoutMs);
    return (pushed.verb === 'value' ? this.read(pushed) : undefined) ?? stale;
  }

  async #ask(retryForSlot: boolean): Promise<Answer | Unavailable> {
    const { closed, clock, availability } = this.#context;
    this.#askedAtMs = clock.monoMs();
    if (closed) return { kind: 'unavailable', error: undefined };
    try {
      const answer = await askFor(this.#context, this.#request, {
        token: this.ticket.token,
        earlyRefreshDraw: this.#earlyRefreshDraw,
        retryForSlot,
      });
      availability.answered();
      return answer;
    } catch (error) {
      this.#request.meter.bypassed(this.#request.key, availability.bypassed(error));
      debug?.("'%s' read without Redis: %s", this.#request.key, error);
      return { kind: 'unavailable', error };
    }
  }

  /** Resolves when there may be a slot at the source. */
  async #awaitSlot(ticket: WaitTicket): Promise<void> {
    const { store, random } = this.#context;
    this.#queued = true;
    this.#request.onWait?.();
    debug?.("'%s' waits for a slot at '%s'", this.#request.key, this.#request.options.source);
    // The timer is for a lost message, and for a process that died after it was told to ask again.
    await ticket.outcome(Math.min(store.timing.leaseMs * (1 + random()), this.#leftMs()));
    this.#queued = false;
    ticket.renew();
  }

  /** `undefined`: ask again. */
  #stepOf(answer: Exclude<Answer, { kind: 'full' }>, ticket: WaitTicket): Step | undefined {
    const { key, meter, onWait } = this.#request;
    switch (answer.kind) {
      case 'error':
        debug?.("'%s' refused for %d ms: its loader failed", key, answer.remainingMs);
        return { kind: 'failed', error: this.#errorFor(answer.failure, answer.remainingMs) };
      case 'wait':
        if (loads(this.#request.scope, this.#request.entry)) return { kind: 'failed', error: circular(key) };
        if (this.#leftMs() <= 0) return this.#timedOut('another load');
        debug?.("'%s' waits for the load of another request, asked by %s", key, ticket.token);
        meter.miss(key);
        onWait?.();
        return { kind: 'wait', forMs: Math.min(answer.remainingMs + 1, this.#leftMs()) };
      case 'load':
        meter.miss(key);
        return this.#usable(ticket) ? LOAD : undefined;
      default: {
        const found = foundOutcome(this.#context, this.#request, answer.value);
        if (found) meter.hit(key, answer.kind === 'hit' ? 'redis' : 'stale');
        const then = answer.then === 'load' && !this.#usable(ticket) ? undefined : answer.then;
        if (!found) return then === 'load' ? LOAD : undefined;
        return { kind: 'found', found, stale: answer.kind === 'stale', then };
      }
    }
  }

  /**
   * False: the lease was lost before the grant was read, or has probably expired. The lease is then given back. Nothing has been
   * loaded yet, so a new lease loses nothing.
   */
  #usable(ticket: WaitTicket): boolean {
    const { store, clock } = this.#context;
    // One more question at most: if no answer comes within the time of a lease, no lease can be kept either.
    const tooLate = clock.monoMs() - this.#askedAtMs >= store.timing.leaseMs && !this.#cameTooLate;
    if (!ticket.invalidated && !tooLate) {
      debug?.("'%s' load granted to %s", this.#request.key, ticket.token);
      return true;
    }
    debug?.(
      "'%s' grant given back by %s: %s",
      this.#request.key,
      ticket.token,
      tooLate ? 'read too late' : 'invalidated',
    );
    this.#cameTooLate = true;
    this.giveUp();
    return false;
  }

  /** The error of a failed load: the loader's own error if this process ran the loader. */
  #errorFor(failure: string, remainingMs?: number): unknown {
    return this.#context.ownErrors.errorFor(this.#request.entry, this.#request.key, failure, remainingMs);
  }

  /** How long the read may still wait. */
  #leftMs(): number {
    return this.#deadlineMs - this.#context.clock.monoMs();
  }

  #timedOut(awaited: string): Step {
    const { key, limit, options } = this.#request;
    const { store } = this.#context;
    if (limit > 0) store.leaveSlot(options.source, this.ticket.token, limit).catch(() => {});
    return { kind: 'failed', error: new CacheLoaderTimeoutError(key, options.loaderTimeoutMs, awaited) };
  }

  async #discard(): Promise<Unavailable | undefined> {
    try {
      await this.#context.store.discard(this.#request.entry);
      return undefined;
    } catch (error) {
      return { kind: 'unavailable', error };
    }
  }
}
