import { Loop, isUnavailable, type Clock, type Link } from '../../../redis/index.js';
import { debug } from '../../observe/queue.debug.js';
import type { DeadRetention } from '../../admin/dead-retention.js';
import {
  IDLE_LOOKS,
  LOOK_AT_ENTRIES,
  LOOK_EVERYWHERE,
  LOOK_NOWHERE,
  RENEW_MOST,
  renewAllScript,
  renewalKeys,
  type QueueRenewal,
} from '../../store/scripts/renew-all.script.js';
import type { Worker } from '../worker.js';
import { RenewalPortions, type RenewalPortion } from '../renewal-portions.js';

/** What a renewal has found on a queue, for the maintenance of its group. */
export interface Findings {
  /** There may be tasks to take over, or to return. */
  readonly sweep: boolean;
  /** The tasks that are held may differ from those that are pending in Redis. */
  readonly reconcile: boolean;
  /** There may be entries to delete. */
  readonly clean: boolean;
}

export interface LeaseRenewerListener {
  /** The worker's lease had lapsed, so the worker is doubtful now. */
  lapsed(worker: Worker): void;
  /** The worker's queue was paused or resumed. */
  pauseChanged(worker: Worker, paused: boolean): void;
  /** The features that this release does not know have changed: see `WorkerLease.unknown`. */
  usesChanged(worker: Worker): void;
  /** Tasks of the worker's stream may be cancelled. */
  cancelled(worker: Worker): void;
  /** There is something to do on the worker's stream. */
  found(worker: Worker, findings: Findings): void;
  /** The first delayed task of the worker's stream is due in `dueMs`. */
  due(worker: Worker, dueMs: number): void;
  /** The first schedule of the worker's queue is due in `dueMs`. */
  scheduleDue(worker: Worker, dueMs: number): void;
  /** Redis refused the renewal on the worker's queue alone. */
  refused(worker: Worker): void;
}

export interface LeaseRenewerOptions {
  workers: readonly Worker[];
  link: Link;
  consumer: string;
  leaseMs: number;
  /** Which dead letters to keep. */
  retention: DeadRetention;
  clock: Clock;
  listener: LeaseRenewerListener;
  report: (message: string) => void;
}

/**
 * Renews the leases of this process on all queues that it works on, three times per lease, with one call (a server that knows
 * slots gets one per slot). The reply says what there is to do, so an idle process sends nothing else.
 *
 * The renewer keeps this rhythm during an outage, without a backoff, and also while a queue has to be opened again. When Redis
 * is back, each process has the time of one lease to renew its own. If the lease of another process ends before the next renewal,
 * the renewal comes then: the tasks of a dead process do not wait for the rhythm.
 *
 * If there are so many queues that one call cannot name them all, a plain EXISTS comes before each call: see {@link renewAllScript}.
 *
 * @see docs/internals/queue.md#renewals
 */
export class LeaseRenewer {
  readonly #options: LeaseRenewerOptions;
  readonly #loop: Loop;
  readonly #portions: RenewalPortions;
  #lookDueMs = 0;
  #looks = 0;

  constructor(options: LeaseRenewerOptions) {
    this.#options = options;
    this.#portions = new RenewalPortions(options.link);
    this.#loop = new Loop({
      name: 'queue leases',
      clock: options.clock,
      turn: () => this.#turn(),
      onError: (error) => {
        options.report(String(error));
      },
    });
  }

  start(): void {
    this.#loop.start();
  }

  /** Renews now: a message said that a queue was paused or resumed, and the reply tells whether the queue is paused. */
  look(): void {
    this.#loop.wake();
  }

  stop(): Promise<void> {
    return this.#loop.stop();
  }

  async #turn(): Promise<number> {
    const { workers, leaseMs, clock } = this.#options;
    const startedMs = clock.monoMs();
    const everyMs = leaseMs / 3;
    const look = this.#lookAt(startedMs);
    const calls = this.#portions.of(workers.filter(({ lease }) => lease.taken));
    const ends = await Promise.all(
      calls.map((call) => this.#renew(call, look, calls.length > 1 && call.workers.length > RENEW_MOST / 2)),
    );
    const restMs = everyMs - (clock.monoMs() - startedMs);
    // Redis keeps a lease through its last millisecond.
    return Math.max(1, Math.min(restMs, ...ends.map((endMs) => endMs + 1)));
  }

  /** Each third renewal looks, as far as timers are exact. */
  #lookAt(startedMs: number): number {
    const { leaseMs } = this.#options;
    if (startedMs + leaseMs / 6 < this.#lookDueMs) return LOOK_NOWHERE;
    this.#lookDueMs = startedMs + leaseMs;
    return this.#looks++ % IDLE_LOOKS === 0 ? LOOK_EVERYWHERE : LOOK_AT_ENTRIES;
  }

  /** Resolves to the milliseconds until the first lease of another process ends. */
  async #renew(portion: RenewalPortion, looks: number, asksFirst: boolean): Promise<number> {
    const { link, consumer, leaseMs, report } = this.#options;
    const { workers, keys } = portion;
    // Before the question: a lease counts from there, and a message about a pause may come while the answer is under way.
    const renewed = workers.map(({ lease }) => lease.renewing());
    const before = workers.map(({ lease: { paused, unknown } }) => ({ paused, unknown }));
    try {
      const noted = !asksFirst || (await link.send<number>(portion.question(looks), [], { deadlineMs: leaseMs })) > 0;
      const call = {
        keys: {},
        restKeys: renewalKeys(keys, { looks, noted }),
        args: { consumer, leaseMs, looks, sweepMs: (leaseMs * 5) / 6, notes: noted ? 1 : 0 },
        rest: looks > LOOK_NOWHERE ? workers.flatMap((worker) => this.#lookArgs(worker)) : [],
      };
      const { queues, nextEndMs = Infinity } = await renewAllScript.run(link, call, { deadlineMs: leaseMs });
      workers.forEach((worker, i) => {
        const answer = queues[i];
        if (answer === undefined) return;
        if (answer instanceof Error) this.#refused(worker, answer);
        else this.#renewed(worker, answer, renewed[i]?.(answer) === true, before[i]);
      });
      return nextEndMs;
    } catch (error) {
      if (!isUnavailable(error)) report(`the leases on ${workers.length} queues were not renewed: ${String(error)}`);
      return Infinity;
    }
  }

  #renewed(
    worker: Worker,
    answer: QueueRenewal,
    unbroken: boolean,
    before: Pick<Worker['lease'], 'paused' | 'unknown'> | undefined,
  ): void {
    const { listener } = this.#options;
    const { lease, keys } = worker;
    if (lease.paused !== before?.paused) listener.pauseChanged(worker, lease.paused);
    if (lease.unknown !== before?.unknown) listener.usesChanged(worker);
    if (answer.cancelled) listener.cancelled(worker);
    worker.events.observed(answer.observed ? lease.leaseMs : 0);
    if (answer.dueMs !== undefined) listener.due(worker, answer.dueMs);
    if (answer.scheduleDueMs !== undefined) listener.scheduleDue(worker, answer.scheduleDueMs);
    if (!unbroken) {
      debug?.('%s: the lease had lapsed; nothing starts until Redis has told what is still ours', keys.stream);
      worker.doubt();
      listener.lapsed(worker);
      return;
    }
    worker.window.start(worker);
    // Who may not declare others dead leaves their leases where the others see them.
    const sweep = answer.orphaned || worker.hasSurplus || (answer.leaseEnded && lease.mayJudge);
    const reconcile = answer.pending;
    if (sweep || reconcile || answer.unclean) listener.found(worker, { sweep, reconcile, clean: answer.unclean });
  }

  #refused(worker: Worker, error: Error): void {
    this.#options.report(`the lease on queue '${worker.handler.queue}' was not renewed: ${error.message}`);
    this.#options.listener.refused(worker);
  }

  #lookArgs({ handler, mayTakeOver, lease, retries }: Worker): (string | number)[] {
    const { keep, keepMs } = this.#options.retention;
    const { group, foreignIdleMs } = handler.options;
    const [kept, keptMs] = retries === undefined ? [-1, -1] : [keep ?? -1, keepMs ?? -1];
    return [group, mayTakeOver && lease.mayJudge ? 1 : 0, foreignIdleMs || 0, kept, keptMs];
  }
}
