import { SluiceError } from '../weave/index.js';

/** What is told to other processes about a loader's error. */
export interface LoaderFailure {
  readonly name: string;
  readonly message: string;
  readonly code?: string;
}

/** What an error's note in Redis holds. */
export interface NotedFailure extends LoaderFailure {
  readonly backoffMs: number;
}

/**
 * The loader failed, in another process or a moment ago: callers who waited there, and everyone who asks during
 * `errorBackoffMs`, get this instead of an attempt of their own. Callers in the process that ran the loader get its
 * own error, `===`.
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
  /** Milliseconds until the next attempt is allowed, as known when this was made. */
  readonly retryAfterMs: number;

  constructor(key: string, loader: LoaderFailure, retryAfterMs: number) {
    super('SLUICE_CACHE_LOADER_FAILED', `the loader of '${key}' failed: ${loader.name}: ${loader.message}`);
    this.loader = loader;
    this.retryAfterMs = retryAfterMs;
  }
}

/** That error, from what Redis noted of a failure. */
export function noted(key: string, failure: string, remainingMs?: number): CacheLoaderError {
  const { backoffMs, ...loader } = JSON.parse(failure) as NotedFailure;
  return new CacheLoaderError(key, loader, remainingMs ?? backoffMs);
}

/** The loader outran `loaderTimeoutMs`. Its signal was aborted and its lease dropped: another caller may load. */
export class CacheLoaderTimeoutError extends SluiceError {
  constructor(key: string, timeoutMs: number) {
    super('SLUICE_CACHE_LOADER_TIMEOUT', `the loader of '${key}' did not finish within ${timeoutMs} ms`);
  }
}

/** Longest message that travels: a stack of SQL in an error must not fill every process' inbox. */
const MESSAGE_MAX = 1_000;

/** What other processes are told of an error. Anything can be thrown: describing it must not throw in its place. */
export function failureOf(error: unknown): LoaderFailure {
  try {
    if (!(error instanceof Error)) return { name: 'Error', message: clip(String(error)) };
    const { name, message, code } = error as { name: unknown; message: unknown; code?: unknown };
    return {
      name: String(name),
      message: clip(String(message)),
      ...(typeof code === 'string' || typeof code === 'number' ? { code: String(code) } : {}),
    };
  } catch {
    return { name: 'Error', message: 'what was thrown cannot be described' };
  }
}

function clip(text: string): string {
  return text.length > MESSAGE_MAX ? `${text.slice(0, MESSAGE_MAX)}…` : text;
}
