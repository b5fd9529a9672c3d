import type { Clock } from '../../redis/index.js';
import type { Delivery } from '../task/delivery.js';
import type { EventSender } from './event-sender.js';
import type { ProgressReporter } from './progress-reporter.js';

export interface WorkerEventsOptions {
  sender: EventSender;
  reporter: ProgressReporter;
  clock: Clock;
}

/** What became of a task whose run has failed. */
export interface FailureTold {
  readonly attempt: number;
  readonly delayMs: number;
  /** Why it is a dead letter; undefined: it runs again. */
  readonly reason: string | undefined;
  readonly error: Buffer | string;
}

/** How many characters of an error an event has. */
const ERROR_CHARS = 1_000;

/** What one worker tells about its tasks, to whoever listens. While nobody does, and no handler reports, it does nothing. */
export class WorkerEvents {
  readonly #sender: EventSender;
  readonly #reporter: ProgressReporter;
  readonly #clock: Clock;

  constructor({ sender, reporter, clock }: WorkerEventsOptions) {
    this.#sender = sender;
    this.#reporter = reporter;
    this.#clock = clock;
  }

  /** Somebody listens, and will for so many milliseconds; 0: nobody does. */
  observed(ms: number): void {
    this.#sender.observed(ms);
  }

  /** The handler is about to be called. */
  begun(delivery: Delivery): void {
    delivery.sink = this.#reporter;
    if (!this.#sender.isOn) return;
    delivery.begunMs = this.#clock.monoMs();
    const { taskId: id, retryCount, deliveries } = delivery;
    this.#sender.add({ type: 'started', id, attempt: retryCount + 1, deliveries });
  }

  /** The run has ended. What follows is told when Redis has confirmed it. */
  ended(delivery: Delivery, how: 'completed' | 'dropped' | 'failed'): void {
    delivery.sink = undefined;
    delivery.endedAs = how;
    if (delivery.begunMs !== undefined) delivery.ranMs = this.#clock.monoMs() - delivery.begunMs;
    this.#reporter.ended(delivery, how === 'failed');
  }

  /** Redis has confirmed that the tasks are settled. */
  settled(deliveries: readonly Delivery[]): void {
    this.#reporter.settled(deliveries);
    if (!this.#sender.isOn) return;
    for (const { taskId: id, endedAs, retryCount, ranMs = 0 } of deliveries) {
      if (endedAs === 'completed') this.#sender.add({ type: 'completed', id, attempt: retryCount + 1, ranMs });
      else if (endedAs === 'dropped') this.#sender.add({ type: 'dropped', id });
    }
  }

  /** Redis has confirmed what follows a run that failed. */
  failed(id: string, { attempt, delayMs, reason, error: text }: FailureTold): void {
    if (!this.#sender.isOn) return;
    const error = text.toString().slice(0, ERROR_CHARS);
    if (reason === undefined) this.#sender.add({ type: 'retried', id, attempt, delayMs, error });
    else this.#sender.add({ type: 'dead', id, reason, error });
  }

  /** Redis has confirmed that a cancelled task was dropped. */
  cancelled(id: string): void {
    this.#sender.add({ type: 'cancelled', id });
  }

  /** The app stops: what was not told yet is told now. */
  close(): void {
    this.#reporter.close();
    this.#sender.flush();
  }
}
