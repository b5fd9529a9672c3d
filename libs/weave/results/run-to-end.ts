import { finished } from 'node:stream/promises';
import { endIterator } from './held-iterator.js';
import { toObservable } from './held-observable.js';
import type { AnyStream } from './held-stream.js';
import { streamOf } from './hold-until-end.js';
import { badResult, ongoingKind } from './ongoing-result.js';

export interface RunToEndOptions {
  /** The name of the method in messages, such as `'Orders.process (@TaskHandler)'`. */
  site: string;
  /** Ends the run: the Observable is unsubscribed from, the iterator is ended, the stream is destroyed. */
  signal?: AbortSignal | undefined;
}

/**
 * Runs an ongoing result to its end. For an Observable or an async iterable, resolves to the last value, or to undefined if there
 * was none. A stream is read to its end and its chunks are dropped: resolves to undefined. Any other value is returned as it is.
 *
 * For callers of methods whose result has no other consumer, such as task handlers. Check with `ongoingKind` first on hot paths.
 *
 * @throws the error of the result (`===`); the signal's reason; SluiceError `SLUICE_BAD_RESULT` for a value with `subscribe`
 *   or `pipe` whose end is unknown
 * @example
 * const result = await handler(task);
 * return ongoingKind(result) === undefined ? result : runToEnd(result, { site, signal: task.signal });
 */
export async function runToEnd(value: unknown, { site, signal }: RunToEndOptions): Promise<unknown> {
  const kind = ongoingKind(value);
  if (kind === undefined) return value;
  if (kind === 'unknown') throw badResult(site, kind, value);
  signal?.throwIfAborted();
  if (kind === 'Observable') return lastOfObservable(value, signal);
  if (kind === 'stream') return readStream(value as AnyStream, signal);
  if (kind === 'StreamableFile') return readStream(streamOf(value as object), signal);
  const last = await lastOfIterable(value as AsyncIterable<unknown>, signal);
  return kind === 'web stream' ? undefined : last;
}

function lastOfObservable(source: unknown, signal: AbortSignal | undefined): Promise<unknown> {
  return new Promise((resolve, reject) => {
    let last: unknown;
    const stop = (): void => {
      subscription.unsubscribe();
      reject(signal?.reason as Error);
    };
    const subscription = toObservable(source).subscribe({
      next: (value) => (last = value),
      error: (error: Error) => {
        signal?.removeEventListener('abort', stop);
        reject(error);
      },
      complete: () => {
        signal?.removeEventListener('abort', stop);
        resolve(last);
      },
    });
    if (!subscription.closed) signal?.addEventListener('abort', stop, { once: true });
  });
}

async function lastOfIterable(source: AsyncIterable<unknown>, signal: AbortSignal | undefined): Promise<unknown> {
  const iterator = source[Symbol.asyncIterator]();
  let stop = (): void => {};
  const stopped = new Promise<never>((_resolve, reject) => {
    stop = () => {
      endIterator(iterator);
      reject(signal?.reason as Error);
    };
  });
  signal?.addEventListener('abort', stop, { once: true });
  const run = async (): Promise<unknown> => {
    let last: unknown;
    for (;;) {
      const { done, value } = (await iterator.next()) as { done?: boolean; value: unknown };
      if (done === true) return last;
      last = value;
    }
  };
  try {
    return await Promise.race([run(), stopped]);
  } finally {
    signal?.removeEventListener('abort', stop);
  }
}

async function readStream(stream: AnyStream, signal: AbortSignal | undefined): Promise<undefined> {
  const stop = (): void => {
    stream.destroy(signal?.reason as Error);
  };
  signal?.addEventListener('abort', stop, { once: true });
  try {
    const ended = finished(stream);
    if (stream.readable && stream.readableFlowing === null) stream.resume();
    await ended;
  } finally {
    signal?.removeEventListener('abort', stop);
  }
}
