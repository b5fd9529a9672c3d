import { isUnavailable, type Clock, type Link } from '../../redis/index.js';
import { progressKey, type QueueKeys } from '../store/queue.keys.js';
import { reportProgressScript } from '../store/scripts/report-progress.script.js';
import type { Delivery, ProgressSink } from '../task/delivery.js';
import { describeError } from '../task/describe-error.js';
import { encodePayload } from '../task/payload.js';
import type { EventSender } from './event-sender.js';

export interface ProgressReporterOptions {
  link: Link;
  clock: Clock;
  keys: QueueKeys;
  queue: string;
  group: string;
  /** The prefix of the names of inboxes. */
  inboxes: string;
  sender: EventSender;
  log: { warn(message: string): void };
}

/** How long a progress is at most, in bytes of its JSON. */
export const PROGRESS_MAX_BYTES = 4_096;
/** How long after one call to Redis the next one is sent, in milliseconds. */
const EVERY_MS = 100;
/** Tasks in one script. */
const CHUNK = 200;
/** How often at most a refused progress is logged, in milliseconds. */
const LOG_EVERY_MS = 60_000;

/**
 * Sends what handlers of one worker report with `task.progress`: the newest value of each task, for all tasks with one call, ten times a
 * second at most. A handler never waits for it and never fails by it: what cannot be sent is dropped.
 */
export class ProgressReporter implements ProgressSink {
  readonly #options: ProgressReporterOptions;
  readonly #pending = new Map<Delivery, string>();
  /** The running tasks of which Redis has a progress. */
  readonly #kept = new Set<Delivery>();
  #sentMs = -Infinity;
  #loggedMs = -Infinity;
  #cancel: (() => void) | undefined;
  #closed = false;

  constructor(options: ProgressReporterOptions) {
    this.#options = options;
  }

  report(delivery: Delivery, value: unknown): void {
    if (this.#closed) return;
    let text: string;
    try {
      text = encodePayload(value, 'progress', PROGRESS_MAX_BYTES);
    } catch (error) {
      this.#warn(`task ${delivery.taskId} reported a progress that cannot be sent`, error);
      return;
    }
    this.#pending.set(delivery, text);
    this.#options.sender.progress(delivery.taskId, text);
    if (this.#cancel !== undefined) return;
    const { clock } = this.#options;
    this.#cancel = clock.timer(Math.max(0, this.#sentMs + EVERY_MS - clock.monoMs()), () => {
      this.#flush();
    });
  }

  /**
   * The run of a task has ended. If it succeeded, only a publisher that waits still gets the last progress: before the result, because
   * it is sent before.
   */
  ended(delivery: Delivery, failed: boolean): void {
    const text = this.#pending.get(delivery);
    if (text === undefined || failed) return;
    this.#pending.delete(delivery);
    if (delivery.mayBeAwaited) void this.#send([[delivery, text]]);
  }

  /** Redis has confirmed that the tasks are settled. Of those that are done, no progress is kept. */
  settled(deliveries: readonly Delivery[]): void {
    if (this.#kept.size === 0) return;
    const keys: string[] = [];
    for (const delivery of deliveries) {
      if (this.#kept.delete(delivery) && delivery.isDone) keys.push(this.#keyOf(delivery));
    }
    // If this fails, the keys expire.
    if (keys.length > 0) this.#options.link.send('unlink', keys).catch(() => undefined);
  }

  close(): void {
    this.#closed = true;
    if (this.#cancel !== undefined) this.#flush();
  }

  #flush(): void {
    this.#cancel?.();
    this.#cancel = undefined;
    const all = [...this.#pending];
    this.#pending.clear();
    for (let from = 0; from < all.length; from += CHUNK) void this.#send(all.slice(from, from + CHUNK));
  }

  async #send(reports: readonly (readonly [Delivery, string])[]): Promise<void> {
    const { link, clock, keys, queue, group, inboxes } = this.#options;
    const { stream, side } = keys;
    this.#sentMs = clock.monoMs();
    for (const [delivery] of reports) this.#kept.add(delivery);
    const rest = reports.flatMap(([{ waitersMeta, taskId }, text]) => [text, waitersMeta, taskId]);
    const restKeys = reports.map(([delivery]) => this.#keyOf(delivery));
    try {
      await reportProgressScript.run(link, { keys: { stream }, restKeys, args: { group, side, inboxes }, rest });
    } catch (error) {
      // The connection reports outages. What was not sent is replaced by the next report.
      if (isUnavailable(error) && error.refusal !== 'NOPERM') return;
      this.#warn(`the progress of tasks of queue '${queue}' is not kept`, error);
    }
  }

  #keyOf({ taskId }: Delivery): string {
    return progressKey(this.#options.keys, this.#options.group, taskId);
  }

  #warn(what: string, error: unknown): void {
    const { clock, log } = this.#options;
    if (clock.monoMs() - this.#loggedMs < LOG_EVERY_MS) return;
    this.#loggedMs = clock.monoMs();
    log.warn(`${what}: ${describeError(error).error.toString()}`);
  }
}
