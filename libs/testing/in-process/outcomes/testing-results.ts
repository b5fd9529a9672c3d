import { Logger } from '@nestjs/common';
import type { Clock } from '../../../redis/index.js';
import { TaskWaitTimeoutError } from '../../../queue/queue.errors.js';
import { failedOutcome, resultOf, type Outcome } from '../../../queue/results/outcome.js';
import { tellProgress, type WaitRequest } from '../../../queue/results/wait.options.js';
import { resultSchema, type QueueRef } from '../../../queue/queue-definition.js';
import { SluiceError } from '../../../weave/index.js';
import type { TestingEvents } from './testing-events.js';

interface Wait {
  readonly queue: string;
  readonly taskId: string;
  /** Undefined: one group reads the queue, and its outcome counts. */
  readonly group: string | undefined;
  readonly onProgress: WaitRequest['onProgress'];
  readonly end: (outcome: Outcome) => void;
  readonly fail: (error: Error) => void;
}

/** A task that is to be published and waited for. */
interface Awaited {
  readonly ref: QueueRef<unknown>;
  readonly queue: string;
  /** The group whose outcome counts; undefined: that of any. */
  readonly group: string | undefined;
  readonly request: WaitRequest;
}

/** A task of one group. */
interface EndedTask {
  readonly queue: string;
  readonly id: string;
  readonly group: string | undefined;
}

/** The waits of a test for the ends of tasks, by the rules of the real queue. */
export class TestingResults {
  readonly #clock: Clock;
  readonly #waits = new Set<Wait>();
  readonly #publishing = new Set<Promise<unknown>>();

  constructor(clock: Clock, events: TestingEvents) {
    this.#clock = clock;
    events.onProgress = ({ queue, id, group }, value) => {
      for (const wait of this.#waitsOf({ queue, id, group })) {
        void tellProgress(wait, value, (error) => {
          Logger.warn(`publishAndWait: onProgress of queue '${queue}' threw: ${String(error)}`, 'Sluice');
        });
      }
    };
  }

  /**
   * Publishes a task and waits for its end. `publish` calls `published` in the moment of the publish. `run` runs tasks while one is wanted,
   * if a `drain` is under way.
   */
  async publish(
    task: Awaited,
    publish: (published: (id: string) => void) => Promise<unknown>,
    run: (isWanted: () => boolean) => Promise<void> | undefined,
  ): Promise<unknown> {
    let result: Promise<unknown> | undefined;
    let taskId = '';
    // The wait begins in that moment, because a `drain` may be under way.
    const publishing = publish((id) => {
      taskId = id;
      result = this.#wait(task, id);
    });
    this.#publishing.add(publishing);
    try {
      await publishing;
    } finally {
      this.#publishing.delete(publishing);
    }
    const isWanted = (): boolean => [...this.#waits].some((w) => w.queue === task.queue && w.taskId === taskId);
    return (await Promise.all([result, run(isWanted)]))[0];
  }

  /** Resolves when no payload is being checked. A caller that waits for the result cannot wait for the publish. */
  async published(): Promise<void> {
    if (this.#publishing.size > 0) await Promise.allSettled(this.#publishing);
  }

  async #wait({ ref, queue, group, request }: Awaited, taskId: string): Promise<unknown> {
    const { waitMs, options, onProgress } = request;
    const { signal } = options;
    const outcome = await new Promise<Outcome>((resolve, reject) => {
      const release = (): void => {
        this.#waits.delete(wait);
        cancel();
        signal?.removeEventListener('abort', abort);
      };
      const wait: Wait = {
        ...{ queue, taskId, group, onProgress },
        end: (found) => {
          release();
          resolve(found);
        },
        fail: (error) => {
          release();
          reject(error);
        },
      };
      const abort = (): void => {
        wait.fail(signal?.reason as Error);
      };
      const cancel = this.#clock.timer(waitMs, () => {
        wait.fail(new TaskWaitTimeoutError(queue, taskId, waitMs));
      });
      this.#waits.add(wait);
      signal?.addEventListener('abort', abort, { once: true });
    });
    return resultOf(outcome, { queue, taskId }, resultSchema(ref));
  }

  /** A task has ended in a group. */
  ended({ queue, id, group }: EndedTask, outcome: Outcome): void {
    for (const wait of this.#waitsOf({ queue, id, group })) wait.end(outcome);
  }

  #waitsOf({ queue, id, group }: EndedTask): Wait[] {
    const isOf = (wait: Wait): boolean => wait.queue === queue && wait.taskId === id && (wait.group ?? group) === group;
    return [...this.#waits].filter(isOf);
  }

  /** A cancelled task was dropped. */
  cancelled(task: EndedTask & { readonly attempt: number }): void {
    const attempts = task.attempt - 1;
    this.ended(task, failedOutcome({ how: 'cancelled', reason: 'cancelled', error: '', attempts }));
  }

  /** A task became a dead letter. */
  died(task: EndedTask, { reason, error, attempts }: { reason: string; error: string; attempts: number }): void {
    this.ended(task, failedOutcome({ how: 'dead', reason, error, attempts }));
  }

  /** The app has stopped. */
  close(): void {
    for (const wait of [...this.#waits]) {
      wait.fail(new SluiceError('SLUICE_CLOSED', `nobody waits for task ${wait.taskId} any more: the app was closed`));
    }
  }
}
