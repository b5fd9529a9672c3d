import { errorMonitor } from 'node:events';
import type { Duplex, Readable, Writable } from 'node:stream';
import { ReadableStream } from 'node:stream/web';
import type { HeldResource, ResultHold } from './result-hold.js';

/** A Node stream of any kind, also of the package readable-stream. */
export type AnyStream = Readable & Partial<Writable> & Partial<Duplex>;

/** The state that tells whether a stream emits `close` by itself. */
interface StreamState {
  readonly autoDestroy?: boolean;
  readonly emitClose?: boolean;
}

/** Holds the resource until the stream has closed. The stream itself is the result: it is not wrapped. */
export function holdStream(stream: AnyStream, hold: ResultHold, resource: HeldResource): void {
  const leave = hold.enter((reason) => {
    destroyStream(stream, reason);
  });
  const cancel = resource.timer(resource.claimWithinMs, () => {
    if (!isInUse(stream)) resource.abandon();
  });
  const end = (): void => {
    cancel();
    void leave();
  };
  onceClosed(stream, end);
}

/** Ends a stream with an error. A consumer without an `error` listener must not bring the process down. */
export function destroyStream(stream: AnyStream, reason: unknown): void {
  if (stream.listenerCount('error') === 0) stream.once('error', () => {});
  stream.destroy(reason as Error);
}

/** True if something reads the stream or writes to it. A stream that can only be written to is in use by its writer. */
function isInUse(stream: AnyStream): boolean {
  if (!stream.readable && stream.writable === true) return true;
  const isRead = stream.readableFlowing !== null || stream.readableDidRead;
  return isRead || stream.listenerCount('readable') > 0 || stream.listenerCount('data') > 0;
}

function onceClosed(stream: AnyStream, closed: () => void): void {
  if (stream.closed || stream.destroyed) {
    closed();
    return;
  }
  const states = stream as { _readableState?: StreamState; _writableState?: StreamState };
  const state = states._readableState ?? states._writableState;
  stream.once('close', closed);
  // `close` is certain for streams that destroy themselves. The monitor sees an error without handling it.
  stream.once(errorMonitor, closed);
  if (state?.autoDestroy !== false && state?.emitClose !== false) return;
  const ended = (): void => {
    const isOpen = [stream.readable && !stream.readableEnded, stream.writable === true && !stream.writableFinished];
    if (!isOpen.includes(true)) closed();
  };
  stream.once('end', ended);
  stream.once('finish', ended);
}

/** The same chunks. The first read makes the stream a consumer of the hold. */
export function heldWebStream(source: ReadableStream, hold: ResultHold, resource: HeldResource): ReadableStream {
  const reader = source.getReader();
  let leave: (() => Promise<void>) | undefined;
  return new ReadableStream<unknown>(
    {
      async pull(controller) {
        leave ??= hold.enter((reason) => {
          controller.error(reason);
          reader.cancel(reason).catch(() => {}); // the reader of the held stream gets the reason
        });
        try {
          const chunk = await resource.run(() => reader.read());
          if (!chunk.done) {
            controller.enqueue(chunk.value);
            return;
          }
          resource.assertHeld();
          await leave();
          controller.close();
        } catch (error) {
          await leave();
          throw error;
        }
      },
      async cancel(reason) {
        leave ??= hold.enter(() => {});
        try {
          await reader.cancel(reason);
        } finally {
          await leave();
        }
      },
    },
    // Nothing is read before the consumer asks for it.
    { highWaterMark: 0 },
  );
}
