import { SluiceError } from '../../weave/index.js';
import { CacheLoaderTimeoutError } from '../cache.errors.js';
import { Inquiry } from './inquiry.js';
import { LoadLease } from './load-lease.js';
import type { ReadContext, ReadRequest } from './read-context.js';
import type { WaitTicket } from './wait-ticket.js';

/** The result of `CacheService.lease`: a value (`hit`), the right to load it (`load`), or another load that runs (`wait`). */
export type CacheLease<T> = (
  | { readonly state: 'hit'; readonly value: T }
  | LeasedLoad<T>
  | {
      readonly state: 'wait';
      /**
       * The value, once it is loaded.
       *
       * @throws CacheLoaderError if the other loader fails; SluiceError `SLUICE_CACHE_LEASE_FREE` if no load runs any more: call
       *   `lease` again
       */
      wait(): Promise<T>;
    }
) &
  AsyncDisposable;

/** The right to load a value for the fleet. Always end it: by `fill`, `fail`, or `await using`. */
export interface LeasedLoad<T> {
  readonly state: 'load';
  /** Aborts when the value is of no use any more: it was invalidated, or `loaderTimeoutMs` has passed. */
  readonly signal: AbortSignal;
  /**
   * Stores the value, and pushes it to the waiting requests. False if the value was not stored: the lease was lost, or Redis did
   * not confirm.
   *
   * @throws SluiceError `SLUICE_CACHE_UNSERIALIZABLE`, and any error of `resultTags` and `unless`; the waiting requests get the
   *   same error, as from {@link fail}
   */
  fill(value: T): Promise<boolean>;
  /** Gives an error to the waiting requests, and to those that ask within `errorBackoffMs`. */
  fail(error: unknown): Promise<void>;
}

/** A load that the user runs without a loader function. */
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
      // The waiting requests get the error at once. Otherwise they would wait until the lease expires.
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

/** The disposal of a result that holds no lease. */
export const NOTHING_HELD: AsyncDisposable = { [Symbol.asyncDispose]: () => Promise.resolve() };

/** Asks Redis until there is a final answer, and returns that. */
export async function takeLease<T>(context: ReadContext, request: ReadRequest): Promise<CacheLease<T>> {
  const inquiry = new Inquiry(context, request, 0);
  const step = await inquiry.next();
  switch (step.kind) {
    case 'load':
      return new ManualLoad<T>(context, request, inquiry.ticket);
    case 'wait': {
      const outcome = outcomeFor<T>(context, inquiry, request, step.forMs);
      // If the caller does not wait after all, an error must not become an unhandled rejection.
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

/** The value of another load. The caller waits, and does not load: if Redis grants it a lease, the lease is given back. */
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
