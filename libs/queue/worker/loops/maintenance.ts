import { backoffMs, isReplyError, isUnavailable, type Clock, type Link } from '../../../redis/index.js';
import { reconcile } from './reconcile.js';
import type { DeadRetention } from '../../queue.options.js';
import type { TaskReturner } from '../task-returner.js';
import { Janitor } from './janitor.js';
import type { UnreadGroups } from './unread-groups.js';
import { channels } from '../../observe/queue.channels.js';
import { debug } from '../../observe/queue.debug.js';
import { CONSUMER_PREFIX, RELEASED } from '../../store/queue.keys.js';
import { REAP_MOST, reapScript } from '../../store/scripts/reap.script.js';
import type { Worker } from '../worker.js';

export interface MaintenanceOptions {
  link: Link;
  clock: Clock;
  group: string;
  consumer: string;
  leaseMs: number;
  workers: readonly Worker[];
  taskReturner: TaskReturner;
  /** Which dead letters to keep. */
  retention: DeadRetention;
  unreadGroups: UnreadGroups;
  log: { warn(message: string): void; error(message: string): void };
}

/** How long until the next try while the connection is down. */
const AGAIN_MS = 100;

/**
 * Does what a group's workers need besides reading: opens their streams, takes over the tasks of dead processes, and compares the
 * tasks that the workers hold with Redis. Maintenance runs between two reads, so that credit is not used twice.
 *
 * @see docs/internals/queue.md#recovery
 */
export class Maintenance {
  readonly #options: MaintenanceOptions;
  /** A fifth of a lease, at most a second. The tasks of a dead process wait for one lease and one sweep. */
  readonly #sweepEveryMs: number;
  readonly #openings = new Map<Worker, { failures: number; dueMs: number }>();
  readonly #janitor: Janitor;
  /** Workers whose streams are cleaned with every sweep. */
  readonly #needsCleaning = new Set<Worker>();
  /** Workers that had no room for all the tasks to take over. They take over more as soon as they have room. */
  readonly #capped = new Set<Worker>();
  #sweepDueMs = 0;
  #reconcileDueMs = 0;
  /** Until then the server may still keep an old socket, and deliver tasks to its read. No process receives these tasks. */
  #distrustUntilMs = 0;

  constructor(options: MaintenanceOptions) {
    this.#options = options;
    this.#janitor = new Janitor(options);
    this.#sweepEveryMs = Math.min(1_000, options.leaseMs / 5);
  }

  /** Does what is due. Resolves to the milliseconds until something is due again. */
  async run(): Promise<number> {
    const { workers, clock, leaseMs } = this.#options;
    const now = clock.monoMs();
    await this.#openDue(now);
    const reconciling = now >= this.#reconcileDueMs;
    if (reconciling) this.#reconcileDueMs = now + leaseMs;
    const sweeping = now >= this.#sweepDueMs;
    if (sweeping) this.#sweepDueMs = now + this.#sweepEveryMs;
    await Promise.all(workers.map((worker) => this.#maintain(worker, reconciling, sweeping)));
    return Math.max(1, this.#nextDueMs() - clock.monoMs());
  }

  /** The reading socket was replaced: tasks that were delivered to the old socket are looked for at once. */
  reconnected(oldIsDead: boolean): void {
    const { clock, leaseMs } = this.#options;
    this.#reconcileDueMs = 0;
    if (!oldIsDead) this.#distrustUntilMs = clock.monoMs() + leaseMs;
  }

  /** Looks for the tasks of dead processes, and for returned tasks, at once. */
  sweepNow(): void {
    this.#sweepDueMs = 0;
  }

  /**
   * Returns tasks that a read brought beyond the room for them. No worker knows of these tasks. If this fails, the next
   * reconciliation finds them.
   */
  async returnSurplus(worker: Worker, ids: readonly string[]): Promise<void> {
    try {
      await this.#options.taskReturner.return(worker, ids);
    } catch (error) {
      this.#report(error, worker, 'returning tasks failed');
    }
  }

  #nextDueMs(): number {
    let due = Math.min(this.#sweepDueMs, this.#reconcileDueMs);
    for (const worker of this.#options.workers) {
      if (worker.state === 'doubtful') due = Math.min(due, this.#options.clock.monoMs() + AGAIN_MS);
      if (this.#mayTakeMore(worker)) due = 0;
      if (worker.needed && worker.state === 'closed') due = Math.min(due, this.#openings.get(worker)?.dueMs ?? 0);
    }
    return due;
  }

  #mayTakeMore(worker: Worker): boolean {
    return this.#capped.has(worker) && worker.mayRead;
  }

  async #maintain(worker: Worker, reconciling: boolean, sweeping: boolean): Promise<void> {
    const { link, consumer, clock, leaseMs, taskReturner } = this.#options;
    try {
      const minIdleMs = clock.monoMs() < this.#distrustUntilMs ? leaseMs : 0;
      if (worker.state === 'doubtful' || (worker.state === 'open' && reconciling)) {
        await reconcile(worker, link, consumer, minIdleMs);
      }
      if (worker.state !== 'open') return;
      if (sweeping) await taskReturner.returnSurplus(worker);
      if ((sweeping || this.#mayTakeMore(worker)) && worker.mayTakeOver) await this.#reap(worker);
      if (reconciling || (sweeping && this.#needsCleaning.has(worker))) await this.#clean(worker);
    } catch (error) {
      // The worker's group may be gone. A doubtful worker does not read, so no read would tell.
      if (isReplyError(error, '')) worker.lostGroup();
      this.#report(error, worker, 'looking after it failed');
    }
  }

  async #clean(worker: Worker): Promise<void> {
    if (await this.#janitor.clean(worker)) this.#needsCleaning.add(worker);
    else this.#needsCleaning.delete(worker);
  }

  async #reap(worker: Worker): Promise<void> {
    const { link, group, consumer, leaseMs } = this.#options;
    const { keys, handler, lease, credit } = worker;
    // If the script fails, the worker waits for the next sweep.
    this.#capped.delete(worker);
    const { claimed, deadLetters, more } = await reapScript.run(link, {
      keys,
      args: {
        group,
        consumer,
        leaseMs,
        sinceMs: lease.unbroken.sinceMs,
        endsMs: lease.unbroken.endsMs,
        capacity: credit,
        maxDeliveries: handler.options.maxDeliveries,
        alone: worker.holdsIsolated ? 1 : 0,
        foreignIdleMs: handler.options.foreignIdleMs || 0,
        released: RELEASED,
        prefix: CONSUMER_PREFIX,
      },
    });
    if (claimed.length > 0)
      debug?.(
        '%s: took over %j',
        keys.stream,
        claimed.map(({ id }) => id),
      );
    const { reaped, deadLettered } = channels;
    if (more || claimed.length >= Math.min(credit, REAP_MOST)) this.#capped.add(worker);
    const { queue } = handler;
    if (claimed.length > 0 && reaped.hasSubscribers) reaped.publish({ queue, group, count: claimed.length });
    if (deadLettered.hasSubscribers) {
      for (const id of deadLetters) deadLettered.publish({ queue, group, id, reason: 'max-deliveries' });
    }
    for (const id of deadLetters) {
      this.#options.log.error(
        `task ${id} of queue '${handler.queue}' is a dead letter: the process died with it ` +
          `${handler.options.maxDeliveries} times`,
      );
    }
    worker.accept(claimed);
  }

  async #openDue(now: number): Promise<void> {
    const due = this.#options.workers.filter(
      (worker) => worker.needed && worker.state === 'closed' && (this.#openings.get(worker)?.dueMs ?? 0) <= now,
    );
    await Promise.all(due.map((worker) => this.#open(worker)));
  }

  /** Creates the group, then takes the lease. Both come before the first read, so that a process that reads is known to live. */
  async #open(worker: Worker): Promise<void> {
    const { clock } = this.#options;
    const { failures } = this.#openings.get(worker) ?? { failures: 0 };
    try {
      await this.#ensureGroup(worker);
      worker.opened(await worker.lease.renew());
      this.#openings.delete(worker);
    } catch (error) {
      if (failures === 0) this.#report(error, worker, 'it cannot be read, and is tried again');
      this.#openings.set(worker, { failures: failures + 1, dueMs: clock.monoMs() + backoffMs(failures, 100, 5_000) });
    }
  }

  /** Creates the group at 0, never at `$`: tasks that were published before the first worker came must run as well. */
  async #ensureGroup({ keys }: Worker): Promise<void> {
    const { link, group } = this.#options;
    try {
      await link.send('xgroup', ['CREATE', keys.stream, group, '0', 'MKSTREAM']);
    } catch (error) {
      // A server that is full refuses the command even if the group exists. XPENDING fails if the group does not exist.
      if (isReplyError(error, 'OOM')) await link.send('xpending', [keys.stream, group]);
      else if (!isReplyError(error, 'BUSYGROUP')) throw error;
    }
  }

  #report(error: unknown, { handler }: Worker, what: string): void {
    // The connection reports outages.
    if (isUnavailable(error)) return;
    this.#options.log.warn(`queue '${handler.queue}': ${what}: ${String(error)}`);
  }
}
