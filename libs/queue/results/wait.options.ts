import { badOption, checkText, durationMs, resolveOptions, text } from '../../weave/index.js';
import { checkPublishOptions, refusePriority, type PublishOptions } from '../publish/publish.options.js';
import { WAIT_MOST_MS } from '../store/scripts/answer.fragment.js';

/** The options of `publishAndWait`: those of `publish`, and how long to wait. */
export interface PublishAndWaitOptions extends PublishOptions {
  /**
   * The key under which the task is published, as by `publishUnique`, of at most 1,024 bytes. If the task that was published last under it
   * is still there, nothing is published, and the call waits for that one. For queues that one group reads; not with `priority` and
   * on queues with `maxLength`. Default: none.
   */
  key?: string;
  /**
   * How long the call waits for the task's end, in milliseconds from the call on. Then it rejects with a `TaskWaitTimeoutError`, and the
   * task goes on. At most 3 600 000 (an hour), and longer than `delayMs`. Default 30 000.
   */
  timeoutMs?: number;
  /**
   * If several groups read the queue: the group whose outcome counts. Default: the group of this app's handler of the queue, or the one
   * in `queue.handlers`, or the default group.
   */
  group?: string;
  /**
   * Is called with what the handler reports by `task.progress`: the newest value, ten times a second at most, and none after the end. A
   * message that is lost is not sent again. What the function throws, or rejects with, is logged. Default: nobody is told.
   */
  onProgress?: (value: unknown) => void;
  /** Ends the wait: the call rejects with the signal's reason. A task that was published goes on: `queue.cancel` ends it. */
  signal?: AbortSignal;
}

/** A wait for a task that is to be published, checked. */
export interface WaitRequest {
  readonly waitMs: number;
  readonly group: string | undefined;
  readonly options: PublishOptions;
  readonly key: string | undefined;
  readonly onProgress: PublishAndWaitOptions['onProgress'];
}

/** Tells a caller how far its task is. What goes wrong there is passed to `failed`, and changes nothing else. */
export async function tellProgress(
  { onProgress }: { readonly onProgress?: WaitRequest['onProgress'] },
  value: unknown,
  failed: (error: unknown) => void,
): Promise<void> {
  // It may be an async function.
  const call: ((value: unknown) => unknown) | undefined = onProgress;
  try {
    await call?.(value);
  } catch (error) {
    failed(error);
  }
}

const DEFAULT_MS = 30_000;
const SITE = 'publishAndWait';

/** @throws SluiceError `SLUICE_BAD_OPTION`; the reason of a `signal` that is aborted already */
export function checkWaitOptions(given: PublishAndWaitOptions | undefined): WaitRequest {
  const { key, timeoutMs, group, onProgress, ...publishing } = given ?? {};
  // What is no object is named in the error as it was given.
  const options = checkPublishOptions(typeof given === 'object' ? publishing : given, SITE);
  const checked = resolveOptions<{ timeoutMs: number; group?: string }>(
    SITE,
    { timeoutMs, group },
    { timeoutMs: durationMs(DEFAULT_MS, { max: WAIT_MOST_MS }), group: text() },
  );
  const { delayMs = 0 } = options;
  if (delayMs >= checked.timeoutMs) {
    throw badOption(`${SITE}: delayMs`, `less than timeoutMs (${checked.timeoutMs})`, delayMs);
  }
  if (onProgress !== undefined && typeof onProgress !== 'function') {
    throw badOption(`${SITE}: onProgress`, 'a function', onProgress);
  }
  return { waitMs: Math.ceil(checked.timeoutMs), group: checked.group, options, onProgress, key: keyOf(key, options) };
}

function keyOf(key: unknown, options: PublishOptions): string | undefined {
  if (key === undefined) return undefined;
  refusePriority(options, `${SITE} with a key`);
  return checkText(key, `${SITE}: key`);
}
