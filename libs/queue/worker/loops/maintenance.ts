import { backoffMs, isReplyError, isUnavailable, type Clock, type Keyspace, type Link } from '../../../redis/index.js';
import { isSluiceError } from '../../../weave/index.js';
import { agreeOnOrder } from '../ordered/order-agreement.js';
import { reconcile } from './reconcile.js';
import type { DeadRetention } from '../../admin/dead-retention.js';
import type { TaskReturner } from '../task-returner.js';
import { reportTakeOver, takeOverArgs } from '../control/take-over.js';
import { Janitor } from './janitor.js';
import type { Findings } from './lease-renewer.js';
import type { UnreadGroups } from './unread-groups.js';
import type { TaskCancelledMessage } from '../../observe/queue.channels.js';
import { taggedName } from '../../named-tasks.js';
import { namesKeys } from '../../store/queue.keys.js';
import { joinNamesScript } from '../../store/scripts/names.script.js';
import { REAP_MOST, reapScript } from '../../store/scripts/reap.script.js';
import type { Worker } from '../worker.js';

export interface MaintenanceOptions {
  link: Link;
  /** The prefix of the names of inboxes. */
  inboxes: string;
  keyspace: Keyspace;
  clock: Clock;
  group: string;
  consumer: string;
  leaseMs: number;
  workers: readonly Worker[];
  taskReturner: TaskReturner;
  /** Which dead letters to keep. */
  retention: DeadRetention;
  unreadGroups: UnreadGroups;
  /** A cancelled task was dropped instead of taken over. */
  onCancelled: (about: TaskCancelledMessage) => void;
  /** The queue was looked at before it is opened: see `WorkerLease.unknown`. */
  onUses: (worker: Worker) => void;
  log: { warn(message: string): void; error(message: string): void };
}

/** How long until the next try while the connection is down. */
const AGAIN_MS = 100;
/** How long until the next look at a queue that has data of a newer release. */
const LOOK_MS = 2_000;

/** How long a read may block, in milliseconds, or a lease if that is shorter. */
const BLOCK_MS = 5_000;

/**
 * Does what a group's workers need besides reading: opens their streams, takes over the tasks of dead processes, and compares the
 * tasks that the workers hold with Redis. Maintenance runs between two reads, so that credit is not used twice.
 *
 * The renewals of leases find out what there is to do. Maintenance has no interval of its own, except to try again.
 *
 * @see docs/internals/queue.md#recovery
 */
export class Maintenance {
  readonly #options: MaintenanceOptions;
  /** A fifth of a lease, at most a second: while there is more to delete. */
  readonly #cleanEveryMs: number;
  readonly #openings = new Map<Worker, { failures: number; dueMs: number }>();
  readonly #janitor: Janitor;
  /** Workers whose streams are cleaned again soon, and when. */
  readonly #cleanings = new Map<Worker, number>();
  /** What the renewals have found since the last run, and what was asked for. */
  readonly #sweeps = new Set<Worker>();
  readonly #reconciles = new Set<Worker>();
  /** Workers that had no room for all the tasks to take over. They take over more as soon as they have room. */
  readonly #capped = new Set<Worker>();
  /** Until then the server may still keep an old socket, and deliver tasks to its read. No process receives these tasks. */
  #distrustUntilMs = 0;

  constructor(options: MaintenanceOptions) {
    this.#options = options;
    this.#janitor = new Janitor(options);
    this.#cleanEveryMs = Math.min(1_000, options.leaseMs / 5);
  }

  /** Does what is due. Resolves to the milliseconds until something is due again. */
  async run(): Promise<number> {
    const { workers, clock } = this.#options;
    await this.#openDue(clock.monoMs());
    await Promise.all(workers.map((worker) => this.#maintain(worker)));
    return Math.max(1, this.#nextDueMs() - clock.monoMs());
  }

  /** A renewal has found something to do. It is done in the next run. */
  found(worker: Worker, { sweep, reconcile, clean }: Findings): void {
    if (sweep) this.#sweeps.add(worker);
    if (reconcile) this.#reconciles.add(worker);
    if (clean) this.#cleanings.set(worker, 0);
  }

  /** The reading socket was replaced: tasks that were delivered to the old socket are looked for at once. */
  reconnected(oldIsDead: boolean): void {
    const { clock, leaseMs, workers } = this.#options;
    for (const worker of workers) this.#reconciles.add(worker);
    if (!oldIsDead) this.#distrustUntilMs = clock.monoMs() + leaseMs;
  }

  /** Looks for the tasks of dead processes, and for returned tasks, at once. */
  sweepNow(): void {
    for (const worker of this.#options.workers) this.#sweeps.add(worker);
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
    const { clock, leaseMs, workers } = this.#options;
    let due = clock.monoMs() + Math.min(BLOCK_MS, leaseMs);
    for (const cleanMs of this.#cleanings.values()) due = Math.min(due, cleanMs);
    for (const worker of workers) {
      if (worker.state === 'doubtful') due = Math.min(due, clock.monoMs() + AGAIN_MS);
      if (this.#mayTakeMore(worker)) due = 0;
      if (worker.needed && worker.state === 'closed') due = Math.min(due, this.#openings.get(worker)?.dueMs ?? 0);
    }
    return due;
  }

  #mayTakeMore(worker: Worker): boolean {
    return this.#capped.has(worker) && worker.mayRead;
  }

  async #maintain(worker: Worker): Promise<void> {
    const { link, consumer, clock, leaseMs, taskReturner } = this.#options;
    if (worker.state === 'closed') return;
    try {
      const isDistrusted = clock.monoMs() < this.#distrustUntilMs;
      if (worker.state === 'doubtful' || this.#reconciles.has(worker)) {
        // What is too young now is looked for again.
        if (!isDistrusted) this.#reconciles.delete(worker);
        const late = await reconcile(worker, link, consumer, isDistrusted ? leaseMs : 0);
        if (late.length > 0) await taskReturner.return(worker, late);
      }
      // What a newer release keeps in the queue is left to processes that know it.
      if (!isOpen(worker) || worker.lease.unknown !== undefined) return;
      const sweeping = this.#sweeps.delete(worker);
      // With limits of the fleet, tasks are taken over by the call that takes new ones.
      const mayTakeOver = worker.limits === undefined && worker.mayTakeOver;
      // What there is to take over is taken over once there is room, before new tasks are read.
      if (sweeping && worker.mayStart && !worker.mayTakeOver && worker.limits === undefined) this.#capped.add(worker);
      if (sweeping) await taskReturner.returnSurplus(worker);
      if ((sweeping || this.#mayTakeMore(worker)) && mayTakeOver) await this.#reap(worker);
      if ((this.#cleanings.get(worker) ?? Infinity) <= clock.monoMs()) await this.#clean(worker);
    } catch (error) {
      // The worker's group may be gone. A doubtful worker does not read, so no read would tell.
      if (isReplyError(error, '')) worker.lostGroup();
      this.#report(error, worker, 'looking after it failed');
    }
  }

  async #clean(worker: Worker): Promise<void> {
    // If it fails, the next renewal that looks finds it again.
    this.#cleanings.delete(worker);
    const soon = await this.#janitor.clean(worker);
    if (soon) this.#cleanings.set(worker, this.#options.clock.monoMs() + this.#cleanEveryMs);
  }

  async #reap(worker: Worker): Promise<void> {
    const { link, consumer, inboxes } = this.#options;
    const { keys, handler, credit } = worker;
    // If the script fails, the worker waits for the next sweep.
    this.#capped.delete(worker);
    const reaped = await reapScript.run(link, {
      keys: { ...keys, failedTo: handler.failedTo ?? keys.dead, history: worker.records.keys.failed },
      args: takeOverArgs(worker, consumer, inboxes),
    });
    const { claimed, more } = reaped;
    if (more || claimed.length >= Math.min(credit, REAP_MOST)) this.#capped.add(worker);
    reportTakeOver(worker, reaped, this.#options);
    worker.accept(claimed);
  }

  async #openDue(now: number): Promise<void> {
    const due = this.#options.workers.filter(
      (worker) => worker.needed && worker.state === 'closed' && (this.#openings.get(worker)?.dueMs ?? 0) <= now,
    );
    await Promise.all(due.map((worker) => this.#open(worker)));
  }

  /**
   * Looks whether this release knows the queue's data, creates the group, then takes the lease. The last two come before the first
   * read, so that a process that reads is known to live.
   */
  async #open(worker: Worker): Promise<void> {
    const { clock, onUses } = this.#options;
    const { failures } = this.#openings.get(worker) ?? { failures: 0 };
    const { lease } = worker;
    const { unknown } = lease;
    try {
      await lease.look();
      const waitMs = await agreeOnOrder(worker, this.#options.link);
      if (waitMs > 0) {
        this.#openings.set(worker, { failures: 0, dueMs: clock.monoMs() + waitMs });
        return;
      }
      if (lease.unknown !== undefined) {
        this.#openings.set(worker, { failures: 0, dueMs: clock.monoMs() + LOOK_MS });
        worker.leftAlone();
        return;
      }
      await this.#ensureGroup(worker);
      await this.#joinNames(worker);
      worker.opened(await lease.renew());
      this.#openings.delete(worker);
      this.found(worker, { sweep: true, reconcile: true, clean: true });
    } catch (error) {
      if (failures === 0) this.#report(error, worker, 'it cannot be read, and is tried again');
      this.#openings.set(worker, { failures: failures + 1, dueMs: clock.monoMs() + backoffMs(failures, 100, 5_000) });
    } finally {
      if (lease.unknown !== unknown) onUses(worker);
    }
  }

  /** If the queue is one task of several, the whole queue has to know it, so that a pause of the whole queue includes it. */
  async #joinNames({ handler: { task }, keys: { paused }, retries }: Worker): Promise<void> {
    const { link, keyspace } = this.#options;
    if (task === undefined || retries === undefined) return;
    const keys = { ...namesKeys(keyspace, taggedName(task.queue)), paused };
    await joinNamesScript.run(link, { keys, args: { name: task.name } });
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
    // The connection reports outages, and the next renewal reports data of a newer release.
    if (isUnavailable(error) || isSluiceError(error, 'SLUICE_NEWER_DATA')) return;
    this.#options.log.warn(`queue '${handler.queue}': ${what}: ${String(error)}`);
  }
}

/** Reads the state again after an await, where the compiler would assume that it has not changed. */
function isOpen({ state }: Worker): boolean {
  return state === 'open';
}
