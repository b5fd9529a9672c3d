import type { Clock } from '../../redis/index.js';
import { SluiceError } from '../../weave/index.js';
import type { ResolvedPause } from './pause.options.js';

/** How long a wait may take. */
export type WaitLimits = Pick<ResolvedPause, 'timeoutMs' | 'signal'>;

/**
 * Settles as `work` does, but rejects with the signal's reason when that aborts, and with `late()` after `timeoutMs`. `work` gets a
 * signal that aborts in these cases.
 */
export async function withinLimits<T>(
  clock: Clock,
  { timeoutMs, signal }: WaitLimits,
  late: () => Error,
  work: (ended: AbortSignal) => Promise<T>,
): Promise<T> {
  signal?.throwIfAborted();
  const ended = new AbortController();
  let cancel = (): void => {};
  let abort = (): void => {};
  const limit = new Promise<never>((_, reject) => {
    const end = (reason: Error): void => {
      ended.abort(reason);
      reject(reason);
    };
    if (timeoutMs !== undefined)
      cancel = clock.timer(timeoutMs, () => {
        end(late());
      });
    abort = () => {
      end(signal?.reason as Error);
    };
    signal?.addEventListener('abort', abort, { once: true });
  });
  try {
    return await Promise.race([work(ended.signal), limit]);
  } finally {
    cancel();
    signal?.removeEventListener('abort', abort);
  }
}

/** The error of a pause that waited longer than `timeoutMs`, or in vain. The queue stays as it is. */
export function stillBusy(queue: string, what: string): SluiceError {
  return new SluiceError('SLUICE_QUEUE_BUSY', `the pause of queue '${queue}' holds, but its wait has ended: ${what}`);
}
