import type { Clock } from '../../redis/index.js';
import type { WorkerEvents } from '../events/worker-events.js';
import { toEnd } from '../handlers/handler-run.js';
import type { Handler } from '../handlers/handler.registry.js';
import type { RunRecords } from '../history/run-records.js';
import type { CommitSender } from '../notes/commit-sender.js';
import { runStarted, type RunEnded } from '../observe/run-messages.js';
import { batchedOutcome, type Outcome } from '../results/outcome.js';
import type { Delivery } from '../task/delivery.js';
import type { Task } from '../task/task.js';
import type { AckBatcher } from './settling/ack-batcher.js';
import type { ConcurrencyWindow } from './concurrency-window.js';
import type { ResultSender } from '../results/result-sender.js';
import type { OrderedAcks } from './ordered/ordered-acks.js';
import type { FailureSettler } from './settling/failure-settler.js';
import { withinTime } from './time-limit.js';

export interface TaskRunnerOptions {
  handler: Handler;
  window: ConcurrencyWindow;
  clock: Clock;
  acks: AckBatcher;
  commits: CommitSender;
  failures: FailureSettler;
  /** Undefined: the queue is not ordered. */
  ordered?: OrderedAcks | undefined;
  results: ResultSender;
  events: WorkerEvents;
  records: Pick<RunRecords, 'begun' | 'returned' | 'dropped'>;
  /** A run has ended: there is room for the next one. */
  onEnded: () => void;
  /** Redis has confirmed that the task is settled, after a failure. */
  onSettled: (deliveries: readonly Delivery[]) => void;
}

/** Calls the handler for each task of a worker, and settles how the run has ended. */
export class TaskRunner {
  readonly #options: TaskRunnerOptions;
  #running = 0;
  #aborted = false;

  constructor(options: TaskRunnerOptions) {
    this.#options = options;
  }

  /** How many tasks run. */
  get running(): number {
    return this.#running;
  }

  /** The tasks of a batch start. */
  begin(deliveries: readonly Delivery[]): void {
    this.#running += deliveries.length;
    this.#options.window.begin();
    for (const delivery of deliveries) {
      delivery.started = true;
      this.#options.records.begun(delivery);
      this.#options.events.begun(delivery);
    }
  }

  /** A batch of so many tasks has run. */
  end(tasks: number): void {
    this.#running -= tasks;
    this.#options.window.end(tasks);
  }

  async run(delivery: Delivery): Promise<void> {
    const { task } = delivery;
    if (task === undefined) return;
    const { handler, window, clock, events, records, onEnded } = this.#options;
    this.#running++;
    window.begin();
    delivery.started = true;
    records.begun(delivery);
    events.begun(delivery);
    // One async function and one await per task, because this path has to run 100,000 tasks a second.
    const ended = runStarted(clock, handler, task);
    let returned: unknown;
    try {
      returned = await this.#call(delivery, task);
      if (returned !== undefined) returned = await toEnd(returned, handler.site, task);
    } catch (thrown) {
      this.end(1);
      this.failed(delivery, thrown, ended);
      onEnded();
      return;
    }
    this.end(1);
    this.completed(delivery, ended, returned);
    onEnded();
  }

  /** The handler is done with the task. After the app has aborted the runs, none is settled. `ended` publishes the end of the run. */
  completed(delivery: Delivery, ended: RunEnded | undefined, returned?: unknown): void {
    delivery.endRun();
    this.#options.records.returned(delivery, returned);
    if (delivery.noted !== undefined && !this.#aborted) {
      void this.#commit(delivery, ended, returned);
      return;
    }
    ended?.('completed', {});
    if (this.#aborted) return;
    const { acks, results, handler, ordered, events } = this.#options;
    events.ended(delivery, 'completed');
    if (!delivery.mayBeAwaited) acks.add(delivery);
    else if (handler.runBatch) void this.#settle(delivery, results.batched(delivery, ordered));
    else void this.#settle(delivery, results.returned(delivery, returned, ordered));
  }

  /** The run of the task has failed: what its handler noted is dropped. */
  failed(delivery: Delivery, thrown: unknown, ended?: RunEnded): void {
    delivery.endRun();
    ended?.('failed', { error: thrown });
    if (this.#aborted) return;
    const { acks, failures, results, handler, ordered, events, records } = this.#options;
    const disposition = failures.decide(delivery, thrown);
    events.ended(delivery, disposition.kind === 'done' ? 'dropped' : 'failed');
    if (disposition.kind === 'done') records.dropped(delivery, thrown);
    if (disposition.kind !== 'done') {
      void this.#settle(delivery, failures.settleFailure(handler.site, delivery, thrown, disposition));
    } else if (!delivery.mayBeAwaited) acks.add(delivery);
    else void this.#settle(delivery, results.dropped(delivery, thrown, ordered));
  }

  /** Makes an entry that is no readable task a dead letter. */
  async deadLetter(delivery: Delivery): Promise<void> {
    await this.#settle(delivery, this.#options.failures.unreadable(delivery));
  }

  /** Settles a cancelled task that has not begun. */
  async drop(delivery: Delivery): Promise<void> {
    await this.#settle(delivery, this.#options.failures.drop(delivery));
  }

  /** Aborts the tasks that run, and settles none of them. What was not told about tasks is told now. */
  abort(held: Iterable<Delivery>): void {
    this.#aborted = true;
    const reason = new DOMException('The app shuts down; another process takes this task over', 'AbortError');
    for (const delivery of held) if (delivery.started) delivery.abort(reason);
    this.#options.events.close();
  }

  #call(delivery: Delivery, task: Task): unknown {
    const { handler, clock } = this.#options;
    const { run, options, site } = handler;
    if (options.timeoutMs === undefined) return run(task);
    return withinTime(clock, options.timeoutMs, delivery, async () => toEnd(await run(task), site, task));
  }

  /** Acknowledges a task with what its handler has noted. If that is refused, the run has failed. */
  async #commit(delivery: Delivery, ended: RunEnded | undefined, returned: unknown): Promise<void> {
    const { commits, results, handler, events, onSettled } = this.#options;
    const { noted, mayBeAwaited } = delivery;
    if (noted === undefined) return;
    const ofRun = (): Outcome => (handler.runBatch ? batchedOutcome() : results.outcomeOf(delivery, returned));
    const outcome = mayBeAwaited ? ofRun() : undefined;
    const { isSettled, isOurs, refused } = await commits.commit(delivery, noted, outcome);
    if (refused !== undefined) {
      this.failed(delivery, refused, ended);
      return;
    }
    ended?.('completed', {});
    if (!isSettled) return;
    // Whoever has the task now tells that it is done.
    events.ended(delivery, isOurs ? 'completed' : 'failed');
    onSettled([delivery]);
  }

  /** Once the task is settled, it is no longer held. If the app stops first, the task stays held. */
  async #settle(delivery: Delivery, settlement: Promise<boolean>): Promise<void> {
    if (await settlement) this.#options.onSettled([delivery]);
  }
}
