import type { ReadableStream } from 'node:stream/web';
import { destroyStream, heldWebStream, holdStream, type AnyStream } from './held-stream.js';
import { endIterator, heldIterable } from './held-iterator.js';
import { heldObservable } from './held-observable.js';
import { ResultHold, type HeldResource } from './result-hold.js';
import type { OngoingKind } from './ongoing-result.js';

/** An ongoing result under a resource. */
export interface HeldResult {
  /** The result to give to the caller, in place of the original one. */
  readonly result: unknown;
  /** Resolves when the result has ended and the resource is released. Never rejects. */
  readonly ended: Promise<void>;
}

/**
 * Holds `resource` until an ongoing result has ended: it completed, failed, was unsubscribed from, or was closed.
 *
 * Consumers get the resource's error when the resource is lost meanwhile, or when no consumer came within
 * `claimWithinMs`. The resource is released in every case.
 *
 * @param kind of `result`, by `ongoingKind`
 * @example
 * const kind = ongoingKind(result);
 * if (kind !== undefined && kind !== 'unknown') return holdUntilEnd(kind, result as object, resource).result;
 */
export function holdUntilEnd(kind: OngoingKind, result: object, resource: HeldResource): HeldResult {
  const hold = new ResultHold(resource, (reason) => {
    discardResult(kind, result, reason);
  });
  const given = held(kind, result, hold, resource);
  holds.set(given, hold);
  return { result: given, ended: hold.ended };
}

const holds = new WeakMap<object, ResultHold>();

/** Ends the hold of a result of {@link holdUntilEnd} whose consumer has left before it could begin. */
export function dropResult(result: unknown): void {
  if (typeof result === 'object' && result !== null) holds.get(result)?.drop();
}

function held(kind: OngoingKind, result: object, hold: ResultHold, resource: HeldResource): object {
  switch (kind) {
    case 'Observable':
      return heldObservable(result, hold, resource);
    case 'async iterable':
      return heldIterable(result, hold, resource);
    case 'web stream':
      return heldWebStream(result as ReadableStream, hold, resource);
    case 'stream':
      holdStream(result as AnyStream, hold, resource);
      return result;
    case 'StreamableFile':
      holdStream(streamOf(result), hold, resource);
      return result;
  }
}

/** Frees a result that no consumer will ever get: an open file or a started query must not stay open. */
export function discardResult(kind: OngoingKind, result: object, reason: unknown): void {
  if (kind === 'stream') destroyStream(result as AnyStream, reason);
  else if (kind === 'StreamableFile') destroyStream(streamOf(result), reason);
  else if (kind === 'web stream') (result as ReadableStream).cancel(reason).catch(() => {});
  else if (kind === 'async iterable') endIterator(result);
}

/** The stream in a StreamableFile. */
export function streamOf(file: object): AnyStream {
  return (file as { getStream(): AnyStream }).getStream();
}
