import { SluiceError, show } from '../weave/index.js';

/** What other processes are told about a loader's error. */
export interface LoaderFailure {
  readonly name: string;
  readonly message: string;
  readonly code?: string;
  /** For an HttpException: its status, and its response if the response is plain data and not long. */
  readonly http?: { readonly status: number; readonly response?: unknown };
}

/** A loader's error as it is noted in Redis. */
export interface NotedFailure extends LoaderFailure {
  readonly backoffMs: number;
  /** The id of the load that failed. The process that ran the load finds its own error by this id. */
  readonly id?: string;
  /** True if the error is an answer, and no failure of the source. */
  readonly answer?: boolean;
}

/**
 * The loader failed in another process. Callers that waited for that load, and all callers that ask during `errorBackoffMs`, get
 * this error instead of an attempt of their own. In the process that ran the loader, callers get the loader's own error, `===`.
 *
 * If the loader's error is an HttpException and an answer (`answers`), callers in other processes get an HttpException of the
 * same status instead. This error is then its `cause`.
 *
 * @example
 * catch (error) {
 *   if (isSluiceError(error, 'SLUICE_CACHE_LOADER_FAILED')) response.setHeader('Retry-After', '1');
 *   throw error;
 * }
 */
export class CacheLoaderError extends SluiceError {
  /** The name, message and code of the loader's error. */
  readonly loader: LoaderFailure;
  /** Milliseconds until the next attempt is allowed, as known when this error was made. */
  readonly retryAfterMs: number;

  constructor(key: string, loader: LoaderFailure, retryAfterMs: number) {
    super('SLUICE_CACHE_LOADER_FAILED', `the loader of ${show(key)} failed: ${loader.name}: ${loader.message}`);
    this.loader = loader;
    this.retryAfterMs = retryAfterMs;
  }
}

/** Loads in two processes that wait for each other end only by their time limit. The keys in the message show where to look. */
function waitingFor(keys: readonly string[]): string {
  if (keys.length === 0) return '';
  const shown = keys.slice(0, INNER_SHOWN).map((key) => show(key));
  const more = keys.length > INNER_SHOWN ? ` and ${keys.length - INNER_SHOWN} more keys` : '';
  return `: it waits for ${shown.join(', ')}${more}. Two loads that ask for each other's keys never end`;
}

const INNER_SHOWN = 3;

/**
 * The loader ran longer than `loaderTimeoutMs`: its signal was aborted, its lease was given up, and another caller may load. Or
 * this caller waited for that long, for a slot at a limited source or for the load of another process.
 */
export class CacheLoaderTimeoutError extends SluiceError {
  /**
   * @param awaited what was waited for, if it was not a loader of this process
   * @param inner the keys that the loader itself waits for
   */
  constructor(key: string, timeoutMs: number, awaited?: string, inner: readonly string[] = []) {
    super(
      'SLUICE_CACHE_LOADER_TIMEOUT',
      awaited === undefined
        ? `the loader of ${show(key)} did not finish within ${timeoutMs} ms${waitingFor(inner)}`
        : `${show(key)} waited ${timeoutMs} ms (loaderTimeoutMs) for ${awaited}`,
    );
  }
}
