import type { Clock } from '../../redis/index.js';
import { SluiceError } from '../../weave/index.js';
import { CacheLoaderTimeoutError } from '../cache.errors.js';
import type { LoadScope, WaitNode } from './load-scopes.js';
import type { ReadContext, ReadRequest } from './read-context.js';

/** The argument of a loader. */
export interface LoaderContext {
  /** The key that is loaded. */
  readonly key: string;
  /**
   * Aborts when the result is of no use any more: the load ran longer than `loaderTimeoutMs`, or an invalidation voided it.
   * A loader may ignore the signal.
   */
  readonly signal: AbortSignal;
}

/** Gets a value from its source. */
export type Loader<T> = (context: LoaderContext) => T | Promise<T>;

/**
 * Makes the signal only when a loader reads it. Most loaders never read it, and a signal costs more than the rest of a load.
 */
class Context implements LoaderContext {
  readonly key: string;
  readonly #controller: AbortController;

  constructor(key: string, controller: AbortController) {
    this.key = key;
    this.#controller = controller;
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }
}

/** One run of a loader, with a time limit. */
export class LoaderRun {
  readonly #controller = new AbortController();
  #timedOut = false;
  #aborted = false;
  #overdue = false;
  #settled: Promise<unknown> = Promise.resolve();

  /** The loader ran longer than its time limit. */
  get timedOut(): boolean {
    return this.#timedOut;
  }

  /** The lease was lost while the loader ran, and the loader was told by its signal. */
  get aborted(): boolean {
    return this.#aborted;
  }

  /** The loader has not ended after twice its time limit. Its slot at the source is given up. */
  get overdue(): boolean {
    return this.#overdue;
  }

  /**
   * Resolves when the loader has really ended, or is overdue. Callers of a loader that timed out got their error before.
   */
  get settled(): Promise<unknown> {
    return this.#settled;
  }

  /** Settles with the loader's own result or error (`===`), or rejects with a CacheLoaderTimeoutError after `timeoutMs`. */
  run(node: WaitNode, loader: Loader<unknown>, timeoutMs: number, clock: Clock): Promise<unknown> {
    const { key } = node;
    return new Promise((resolve, reject) => {
      const cancel = clock.timer(timeoutMs, () => {
        const inner = [...(node.waitsFor ?? [])].map((read) => read.key);
        const error = new CacheLoaderTimeoutError(key, timeoutMs, undefined, inner);
        this.#timedOut = true;
        this.#settled = Promise.race([this.#settled, this.#grace(timeoutMs, clock)]);
        reject(error);
        this.#controller.abort(error);
      });
      const running = this.#call(new Context(key, this.#controller), loader);
      running.then(resolve, reject);
      this.#settled = running.then(cancel, cancel);
    });
  }

  abort(): void {
    this.#aborted = true;
    this.#controller.abort(new SluiceError('SLUICE_CACHE_LEASE_LOST', 'what is loaded was invalidated meanwhile'));
  }

  #grace(ms: number, clock: Clock): Promise<void> {
    const ended = this.#settled;
    return new Promise((resolve) => {
      const cancel = clock.timer(ms, () => {
        this.#overdue = true;
        resolve();
      });
      void ended.then(cancel);
    });
  }

  /** Turns an error that the loader throws synchronously into a rejection. */
  async #call(context: LoaderContext, loader: Loader<unknown>): Promise<unknown> {
    return await loader(context);
  }
}

/**
 * Runs a loader with its time limit and within its scope: the reads that the loader makes know which loader waits for them.
 * Counts the load.
 */
export async function runInScope(
  context: ReadContext,
  request: ReadRequest,
  node: WaitNode,
  load: LoaderRun,
  loader: Loader<unknown>,
): Promise<unknown> {
  const { key, entry, options, meter, limit, scope: outer } = request;
  const { clock, scopes } = context;
  const sinceMs = clock.monoMs();
  const source = limit > 0 ? options.source : undefined;
  const scope: LoadScope = { node, entry, source, outer, ended: false };
  try {
    return await scopes.run(scope, () => load.run(node, loader, options.loaderTimeoutMs, clock));
  } finally {
    scopes.end(scope);
    meter.load(key, clock.monoMs() - sinceMs);
    if (load.timedOut && limit > 0) void reportOverdue(context, request, load);
  }
}

async function reportOverdue(context: ReadContext, { key, options }: ReadRequest, load: LoaderRun): Promise<void> {
  await load.settled;
  if (!load.overdue) return;
  const { loaderTimeoutMs, source } = options;
  context.report(
    `it has not ended ${2 * loaderTimeoutMs} ms after its start, and no longer counts at its source '${source}'`,
    `loader of '${key}'`,
  );
}
