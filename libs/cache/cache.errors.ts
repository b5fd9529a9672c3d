import { SluiceError, clip, show } from '../weave/index.js';

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
    super('SLUICE_CACHE_LOADER_FAILED', `the loader of ${show(key)} failed: ${loader.name}: ${loader.message}`);
    this.loader = loader;
    this.retryAfterMs = retryAfterMs;
  }
}

/** That error, from what Redis noted of a failure. */
export function noted(key: string, failure: string, remainingMs?: number): CacheLoaderError {
  const { backoffMs, ...loader } = readNote(failure);
  return new CacheLoaderError(key, loader, Math.max(0, remainingMs ?? backoffMs));
}

/** A note is anybody's who may write to Redis: of a strange one, what can be used. */
function readNote(failure: string): NotedFailure {
  const note = parseObject(failure);
  const { name, message, code, backoffMs } = note;
  return {
    name: typeof name === 'string' ? clip(name) : 'Error',
    message: typeof message === 'string' ? clip(message, MESSAGE_MAX) : 'unknown',
    ...(typeof code === 'string' ? { code: clip(code) } : {}),
    backoffMs: typeof backoffMs === 'number' ? backoffMs : 0,
  };
}

function parseObject(text: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}

/**
 * The loader outran `loaderTimeoutMs`: its signal was aborted and its lease dropped, another caller may load. Or this caller waited for
 * as long, for a slot at a limited source or for the load of another process.
 */
export class CacheLoaderTimeoutError extends SluiceError {
  /** @param awaited what was waited for, if it was not a loader of this process */
  constructor(key: string, timeoutMs: number, awaited?: string) {
    super(
      'SLUICE_CACHE_LOADER_TIMEOUT',
      awaited === undefined
        ? `the loader of ${show(key)} did not finish within ${timeoutMs} ms`
        : `${show(key)} waited ${timeoutMs} ms (loaderTimeoutMs) for ${awaited}`,
    );
  }
}

/** Longest message that travels: a stack of SQL in an error must not fill every process' inbox. */
const MESSAGE_MAX = 1_000;

/** What other processes are told of an error. Anything can be thrown: describing it must not throw in its place. */
export function failureOf(error: unknown): LoaderFailure {
  try {
    if (!(error instanceof Error)) return { name: 'Error', message: clip(String(error), MESSAGE_MAX) };
    const { name, message, code } = error as { name: unknown; message: unknown; code?: unknown };
    return {
      name: clip(String(name)),
      message: clip(String(message), MESSAGE_MAX),
      ...(typeof code === 'string' || typeof code === 'number' ? { code: clip(String(code)) } : {}),
    };
  } catch {
    return { name: 'Error', message: 'what was thrown cannot be described' };
  }
}
