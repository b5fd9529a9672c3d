import { HttpException } from '@nestjs/common';
import type { Clock } from '../redis/index.js';
import { clip } from '../weave/index.js';
import { CacheLoaderError, type LoaderFailure, type NotedFailure } from './cache.errors.js';

/** The longest message that is sent to other processes: long SQL in an error must not fill the inbox of every process. */
const MESSAGE_MAX = 1_000;

/** The longest response of an HttpException that is sent to other processes, in characters of JSON. */
const RESPONSE_MAX = 4_000;

/** The most own errors that are kept. */
const OWN_MAX = 1_000;

/** How long an own error is kept at least. An answer has no back-off, but waiting reads of this process learn of it later. */
const OWN_MIN_MS = 1_000;

/** What is used of an HttpException. Its methods identify it, because the app may have another copy of `@nestjs/common`. */
interface HttpError {
  getStatus(): number;
  getResponse(): unknown;
}

/** The default of `answers`: errors of the client, which are HttpExceptions with a status below 500. */
export function isClientError(error: unknown): boolean {
  const status = httpOf(error)?.status;
  return status !== undefined && status < 500;
}

/** What other processes are told about an error. A loader can throw anything, and to describe it must not throw another error. */
export function failureOf(error: unknown): LoaderFailure {
  try {
    if (!(error instanceof Error)) return { name: 'Error', message: clip(String(error), MESSAGE_MAX) };
    const { name, message, code } = error as { name: unknown; message: unknown; code?: unknown };
    const http = httpOf(error);
    return {
      name: clip(String(name)),
      message: clip(String(message), MESSAGE_MAX),
      ...(typeof code === 'string' || typeof code === 'number' ? { code: clip(String(code)) } : {}),
      ...(http ? { http } : {}),
    };
  } catch {
    return { name: 'Error', message: 'what was thrown cannot be described' };
  }
}

function httpOf(error: unknown): LoaderFailure['http'] {
  try {
    const { getStatus, getResponse } = error as Partial<HttpError>;
    if (typeof getStatus !== 'function' || typeof getResponse !== 'function') return undefined;
    const status: unknown = getStatus.call(error);
    if (!isStatus(status)) return undefined;
    const response: unknown = getResponse.call(error);
    return fits(response) ? { status, response } : { status };
  } catch {
    return undefined;
  }
}

function isStatus(status: unknown): status is number {
  return Number.isInteger(status) && (status as number) >= 100 && (status as number) <= 599;
}

function fits(response: unknown): boolean {
  if (typeof response !== 'string' && (typeof response !== 'object' || response === null)) return false;
  return JSON.stringify(response).length <= RESPONSE_MAX;
}

/** The error that a caller gets for a failure that was noted in Redis. */
export function errorOf(key: string, note: NotedFailure, remainingMs?: number): Error {
  const { backoffMs, answer, name, message, code, http } = note;
  const loader = { name, message, ...(code === undefined ? {} : { code }), ...(http === undefined ? {} : { http }) };
  const error = new CacheLoaderError(key, loader, Math.max(0, remainingMs ?? backoffMs));
  if (answer !== true || http === undefined) return error;
  const response = (http.response ?? message) as string | Record<string, unknown>;
  const exception = new HttpException(response, http.status, { cause: error });
  exception.name = name;
  exception.message = message;
  return exception;
}

/** Reads a note. Any client that may write to Redis can write a note, so only fields of the expected types are taken. */
export function readNote(failure: string): NotedFailure {
  const { name, message, code, backoffMs, id, answer, http } = parseObject(failure);
  const { status, response } = (typeof http === 'object' && http !== null ? http : {}) as Record<string, unknown>;
  return {
    name: typeof name === 'string' ? clip(name) : 'Error',
    message: typeof message === 'string' ? clip(message, MESSAGE_MAX) : 'unknown',
    ...(typeof code === 'string' ? { code: clip(code) } : {}),
    backoffMs: typeof backoffMs === 'number' ? backoffMs : 0,
    ...(typeof id === 'string' ? { id } : {}),
    ...(answer === true ? { answer } : {}),
    ...(isStatus(status) ? { http: fits(response) ? { status, response } : { status } } : {}),
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

/** Errors of loaders that this process ran. During the back-off, callers in this process get the error itself. */
export class OwnErrors {
  readonly #clock: Clock;
  /** The errors, by entry and load. */
  readonly #errors = new Map<string, unknown>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  keep(entry: string, id: string, error: unknown, backoffMs: number): void {
    const name = nameOf(entry, id);
    this.#errors.set(name, error);
    this.#clock.timer(Math.max(backoffMs, OWN_MIN_MS), () => this.#errors.delete(name));
    for (const oldest of this.#errors.keys()) {
      if (this.#errors.size <= OWN_MAX) return;
      this.#errors.delete(oldest);
    }
  }

  /** The error that a caller in this process gets for a failure that was noted in Redis. */
  errorFor(entry: string, key: string, failure: string, remainingMs?: number): unknown {
    const note = readNote(failure);
    const name = nameOf(entry, note.id ?? '');
    return this.#errors.has(name) ? this.#errors.get(name) : errorOf(key, note, remainingMs);
  }
}

function nameOf(entry: string, id: string): string {
  return `${id} ${entry}`;
}
