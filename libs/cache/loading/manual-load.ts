import { SluiceError } from '../../weave/index.js';
import { CacheLoaderTimeoutError } from '../cache.errors.js';
import { Inquiry } from './inquiry.js';
import { LoadLease } from './load-lease.js';
import type { ReadContext, ReadRequest } from './read-context.js';
import type { WaitTicket } from './wait-ticket.js';

/** What `CacheService.lease` found: a value, the right to load it, or somebody else who does. */
export type CacheLease<T> = (
  | { readonly state: 'hit'; readonly value: T }
  | LeasedLoad<T>
  | {
      readonly state: 'wait';
      /**
       * The value, once it is loaded.
       *
       * @throws CacheLoaderError if its loader fails; SluiceError `SLUICE_CACHE_LEASE_FREE` if nobody loads it any more: call
       *   `lease` again
       */
      wait(): Promise<T>;
    }
) &
  AsyncDisposable;

/** The right to load a value for the fleet. Whatever happens to it, end it: by `fill`, `fail`, or `await using`. */
export interface LeasedLoad<T> {
  readonly state: 'load';
  /** Aborts when what is loaded is of no use any more: invalidated, or `loaderTimeoutMs` is over. */
  readonly signal: AbortSignal;
  /**
   * Stores the value, and pushes it to who waits. False if it was not stored: the lease was lost, or no Redis confirmed it.
   *
   * @throws what {@link fail} is then told of: SluiceError `SLUICE_CACHE_UNSERIALIZABLE`, what `resultTags` and `unless` throw
   */
  fill(value: T): Promise<boolean>;
  /** Tells who waits, and who asks within `errorBackoffMs`, of an error. */
  fail(error: unknown): Promise<void>;
}

/** A load by hand. */
class ManualLoad<T> implements LeasedLoad<T>, AsyncDisposable {
  readonly state = 'load';
  readonly #controller = new AbortController();
  readonly #loadLease: LoadLease | undefined;
  readonly #cancel: () => void;
  #ended = false;

  constructor(context: ReadContext, request: ReadRequest, ticket: WaitTicket | undefined) {
    const lost = (): void => {
      this.#controller.abort(new SluiceError('SLUICE_CACHE_LEASE_LOST', 'what is loaded was invalidated meanwhile'));
    };
    this.#loadLease = ticket && new LoadLease(context, request, ticket, lost);
    const { loaderTimeoutMs } = request.options;
    this.#cancel = context.clock.timer(loaderTimeoutMs, () => {
      this.#controller.abort(new CacheLoaderTimeoutError(request.key, loaderTimeoutMs));
      this.#loadLease?.release();
      this.#end();
    });
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  async fill(value: T): Promise<boolean> {
    if (this.#ended) return false;
    this.#end();
    try {
      return (await this.#loadLease?.fill(value))?.stored ?? false;
    } catch (error) {
      // What cannot be stored is no value: who waits is told, and not left to wait until the lease expires.
      await this.#loadLease?.fail(error);
      throw error;
    }
  }

  async fail(error: unknown): Promise<void> {
    if (this.#ended) return;
    this.#end();
    await this.#loadLease?.fail(error);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.fail(new SluiceError('SLUICE_CACHE_LOAD_ABANDONED', 'a load by hand was given up'));
  }

  #end(): void {
    this.#ended = true;
    this.#cancel();
    this.#loadLease?.end(Promise.resolve());
  }
}

/** Of a lease that holds nothing. */
export const NOTHING_HELD: AsyncDisposable = { [Symbol.asyncDispose]: () => Promise.resolve() };

/** Asks until the answer is one to act on, and says what it was. */
export async function takeLease<T>(context: ReadContext, request: ReadRequest): Promise<CacheLease<T>> {
  const inquiry = new Inquiry(context, request, 0);
  const step = await inquiry.next();
  switch (step.kind) {
    case 'load':
      return new ManualLoad<T>(context, request, inquiry.ticket);
    case 'wait': {
      const outcome = outcomeFor<T>(context, inquiry, request, step.forMs);
      // A caller that does not wait after all gets no error.
      outcome.catch(() => {});
      return { state: 'wait', wait: () => outcome, ...NOTHING_HELD };
    }
    case 'found': {
      if (step.then === 'load') return new ManualLoad<T>(context, request, inquiry.ticket);
      const { copies } = step.then === 'wait' ? await inquiry.refreshed(step.found) : step.found;
      inquiry.end();
      return { state: 'hit', value: copies.take() as T, ...NOTHING_HELD };
    }
    case 'failed':
      inquiry.end();
      throw step.error;
    case 'unavailable':
      inquiry.end();
      if (request.options.onBackendDown === 'throw' && !context.closed) throw step.error;
      return new ManualLoad<T>(context, request, undefined);
  }
}

/** The value that another load brings. This caller did not ask for a lease: one that it is granted is given back. */
async function outcomeFor<T>(
  context: ReadContext,
  inquiry: Inquiry,
  { key, meter }: ReadRequest,
  waitMs: number,
): Promise<T> {
  const { clock } = context;
  try {
    for (let leftMs = waitMs; ;) {
      const sinceMs = clock.monoMs();
      const pushed = await inquiry.ticket.outcome(leftMs);
      meter.wait(key, clock.monoMs() - sinceMs);
      const found = inquiry.read(pushed);
      if (found) return found.copies.take() as T;
      const step = await inquiry.next();
      if (step.kind === 'wait') {
        leftMs = step.forMs;
        continue;
      }
      if (step.kind === 'failed' || (step.kind === 'unavailable' && !context.closed)) throw step.error;
      if (step.kind === 'load' || (step.kind === 'found' && step.then === 'load')) inquiry.giveUp();
      if (step.kind === 'found') return step.found.copies.take() as T;
      throw new SluiceError('SLUICE_CACHE_LEASE_FREE', `nobody loads '${key}' any more: call lease() again`);
    }
  } finally {
    inquiry.end();
  }
}
