import { SluiceError } from '../../weave/index.js';
import { CacheLoaderTimeoutError, noted } from '../cache.errors.js';
import { keepOf } from '../load-options.js';
import { DecodedCopies } from '../local/decoded-copies.js';
import { LoadLease } from './load-lease.js';
import type { ReadContext, ReadRequest } from './read-context.js';
import type { Answer } from '../store/scripts/ask.script.js';
import { parseStored, type StoredValue } from '../store/stored-value.js';
import type { WaitTicket } from './push-router.js';

/** What `CacheService.lease` found: a value, the right to load it, or somebody else who does. */
export type CacheLease<T> = (
  | { readonly state: 'hit'; readonly value: T }
  | LeasedLoad<T>
  | {
      readonly state: 'wait';
      /**
       * The value, once it is loaded.
       *
       * @throws CacheLoaderError if its loader fails; SluiceError `SLUICE_CACHE_LEASE_FREE` if nobody loads it any more: call `lease` again
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
  readonly #grant: LoadLease | undefined;
  readonly #cancel: () => void;
  #ended = false;

  constructor(context: ReadContext, request: ReadRequest, ticket: WaitTicket | undefined) {
    const lost = (): void => {
      this.#controller.abort(new SluiceError('SLUICE_CACHE_LEASE_LOST', 'what is loaded was invalidated meanwhile'));
    };
    this.#grant = ticket && new LoadLease(context, request, ticket, lost);
    const { loaderTimeoutMs } = request.options;
    this.#cancel = context.clock.timer(loaderTimeoutMs, () => {
      this.#controller.abort(new CacheLoaderTimeoutError(request.key, loaderTimeoutMs));
      this.#grant?.release();
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
      return (await this.#grant?.fill(value))?.stored ?? false;
    } catch (error) {
      // What cannot be stored is no value: who waits is told, and not left to wait until the lease expires.
      await this.#grant?.fail(error);
      throw error;
    }
  }

  async fail(error: unknown): Promise<void> {
    if (this.#ended) return;
    this.#end();
    await this.#grant?.fail(error);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.fail(new SluiceError('SLUICE_CACHE_LOAD_ABANDONED', 'a load by hand was given up'));
  }

  #end(): void {
    this.#ended = true;
    this.#cancel();
    this.#grant?.end(Promise.resolve());
  }
}

/** Asks until the answer is one to act on, and says what it was. */
export async function takeLease<T>(context: ReadContext, request: ReadRequest): Promise<CacheLease<T>> {
  const { store, pushRouter } = context;
  for (;;) {
    const ticket = pushRouter.expect(store.newToken());
    let answer: Answer | undefined;
    try {
      answer = context.closed ? undefined : await ask(context, request, ticket);
    } catch (error) {
      pushRouter.done(ticket);
      if (request.options.onBackendDown === 'throw') throw error;
    }
    const taken = await follow<T>(context, request, ticket, answer);
    if (taken) return taken;
  }
}

async function follow<T>(
  context: ReadContext,
  request: ReadRequest,
  ticket: WaitTicket,
  answer: Answer | undefined,
): Promise<CacheLease<T> | undefined> {
  const { pushRouter, store } = context;
  if (answer === undefined) return new ManualLoad<T>(context, request, undefined);
  if (answer.kind === 'load' || ('then' in answer && answer.then === 'load')) {
    // Voided before the grant was read: a new lease is as good.
    if (!ticket.voided) return new ManualLoad<T>(context, request, ticket);
    pushRouter.done(ticket);
    return undefined;
  }
  if (answer.kind === 'wait') {
    const outcome = waitFor<T>(context, request, ticket, answer.remainingMs);
    // Who does not wait after all is not bothered with how it ended.
    outcome.catch(() => {});
    return { state: 'wait', wait: () => outcome, ...NOTHING_HELD };
  }
  pushRouter.done(ticket);
  if (answer.kind === 'error') throw noted(request.key, answer.failure, answer.remainingMs);
  if (answer.kind === 'full') throw new Error('a question without a limit was answered by one');
  const copies = copiesOf(answer.value, request);
  if (copies) return { state: 'hit', value: copies.take() as T, ...NOTHING_HELD };
  await store.discard(request.entry);
  return undefined;
}

const NOTHING_HELD: AsyncDisposable = { [Symbol.asyncDispose]: () => Promise.resolve() };

function ask({ store }: ReadContext, { entry, options }: ReadRequest, { token }: WaitTicket): Promise<Answer> {
  return store.ask(entry, {
    token,
    tags: options.tags,
    hasResultTags: options.resultTags !== undefined,
    keepMs: keepOf(options),
    staleMs: options.staleMs,
    waitForRefresh: false,
    earlyRefreshDraw: 0,
    source: '',
    limit: 0,
    retryForSlot: false,
  });
}

async function waitFor<T>(
  context: ReadContext,
  request: ReadRequest,
  ticket: WaitTicket,
  remainingMs: number,
): Promise<T> {
  const { store, pushRouter } = context;
  const news = await ticket.news(remainingMs + 1);
  pushRouter.done(ticket);
  if (news.verb === 'error') throw noted(request.key, news.failure);
  const copies = news.verb === 'value' ? copiesOf(parseStored(news.text), request) : undefined;
  if (copies) return copies.take() as T;
  const next = pushRouter.expect(store.newToken());
  const answer = await ask(context, request, next).catch((error: unknown) => {
    pushRouter.done(next);
    throw error;
  });
  if (answer.kind === 'wait') return waitFor(context, request, next, answer.remainingMs);
  pushRouter.done(next);
  if (answer.kind === 'load' || ('then' in answer && answer.then === 'load'))
    await store.release(request.entry, next.token);
  if (answer.kind === 'error') throw noted(request.key, answer.failure, answer.remainingMs);
  const found = 'value' in answer ? copiesOf(answer.value, request) : undefined;
  if (found) return found.take() as T;
  throw new SluiceError('SLUICE_CACHE_LEASE_FREE', `nobody loads '${request.key}' any more: call lease() again`);
}

function copiesOf(value: StoredValue | undefined, { options }: ReadRequest): DecodedCopies | undefined {
  try {
    return value && new DecodedCopies(value.text, options.revive);
  } catch {
    return undefined;
  }
}
