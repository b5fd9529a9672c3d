import { frame, isUnavailable, type RedisConnection, type RedisConnections } from '../../redis/index.js';
import { allWithin } from './control/all-within.js';
import { Cancellations } from './control/cancellations.js';
import type { LocalPauses } from './control/local-pauses.js';
import { workersOf } from './control/worker-factory.js';
import { LimitedReader } from './admission/limited-reader.js';
import { TaskReturner } from './task-returner.js';
import type { Handler } from '../handlers/handler.registry.js';
import { LeaseRenewer } from './loops/lease-renewer.js';
import { KeyHealers } from './ordered/key-healers.js';
import { refuseMisfits } from './ordered/order-agreement.js';
import { DelayedPromoter } from './loops/delayed-promoter.js';
import type { DueLoop } from './loops/due-loop.js';
import { ScheduleLoops } from './loops/schedule-loops.js';
import { mostAtOnce } from './loops/read-counts.js';
import type { QueueReader } from './loops/queue-reader.js';
import type { ReadSeats } from './loops/read-seats.js';
import { StreamReader } from './loops/stream-reader.js';
import { StreamReaders } from './loops/stream-readers.js';
import { RetryUntilConfirmed } from './settling/retry-until-confirmed.js';
import { debug } from '../observe/queue.debug.js';
import type { TaskCancelledMessage } from '../observe/queue.channels.js';
import { NewerDataReports } from '../observe/newer-data.reports.js';
import { runningTasks } from '../observe/run-messages.js';
import type { QueueTally } from '../observe/queue.stats.js';
import { consumerName } from '../store/queue.keys.js';
import type { ResolvedQueueOptions } from '../queue.options.js';
import { leaveScript } from '../store/scripts/leave.script.js';
import { Maintenance } from './loops/maintenance.js';
import { UnreadGroups } from './loops/unread-groups.js';
import type { Worker } from './worker.js';
import type { WorkerListener } from './worker-listener.js';

/** How long a stop waits until Redis has confirmed the finished tasks. */
const CONFIRM_MS = 2_000;
/** When a stop has waited this long for running tasks, the log says for which. */
const QUIET_MS = 1_000;

/**
 * Everything that works on queues in this process: a worker per stream, a reader per group, one renewer of leases. On a server that
 * knows slots there is a reader per group and slot ({@link StreamReaders}).
 */
export class WorkerPool implements WorkerListener<Worker> {
  readonly #connections: RedisConnections;
  readonly #connection: RedisConnection;
  readonly #options: ResolvedQueueOptions;
  readonly #consumer: string;
  readonly #retryUntilConfirmed: RetryUntilConfirmed;
  readonly #taskReturner: TaskReturner;
  readonly #unreadGroups: UnreadGroups;
  readonly #newerData: NewerDataReports;
  readonly #cancellations: Cancellations;
  readonly #workers: Worker[];
  readonly #readers: StreamReaders;
  readonly #renewer: LeaseRenewer;
  /** By stream. */
  readonly #promoters: ReadonlyMap<string, DueLoop>;
  readonly #schedules: ScheduleLoops;
  readonly #healers: KeyHealers;

  constructor(
    connections: RedisConnections,
    options: ResolvedQueueOptions,
    handlers: readonly Handler[],
    tally: QueueTally,
  ) {
    const { clock, logger, keyspace } = connections;
    const report = (message: string): void => {
      logger.warn(message);
    };
    this.#connections = connections;
    this.#connection = connections.get(options.connection);
    this.#options = options;
    this.#consumer = consumerName(connections.processId);
    this.#retryUntilConfirmed = new RetryUntilConfirmed(clock, report);
    const { commands: link, inbox } = this.#connection;
    this.#taskReturner = new TaskReturner({ link, consumer: this.#consumer, inboxes: inbox.prefix });
    this.#unreadGroups = new UnreadGroups({ link, clock, leaseMs: options.leaseMs, tally, log: logger });
    this.#newerData = new NewerDataReports({ clock, tally, log: logger });
    this.#workers = workersOf(handlers, {
      ...{ connections, connection: this.#connection, consumer: this.#consumer, leaseMs: options.leaseMs },
      ...{ maxPayloadBytes: options.maxPayloadBytes, retryUntilConfirmed: this.#retryUntilConfirmed, listener: this },
    });
    this.#cancellations = new Cancellations({
      ...{ link, inbox, consumer: this.#consumer, workers: this.#workers, tally, log: logger },
    });
    this.#promoters = new Map(this.#workers.map((worker) => [worker.keys.stream, this.#promoter(worker)]));
    this.#schedules = new ScheduleLoops({
      ...{ workers: this.#workers, link, consumer: this.#consumer, leaseMs: options.leaseMs, clock, log: logger },
      ...{ keyspace, inboxes: inbox.prefix, pausesOrphans: options.schedules.orphans === 'pause' },
    });
    const healing = { workers: this.#workers, link, keyspace, consumer: this.#consumer, inboxes: inbox.prefix };
    this.#healers = new KeyHealers({ ...healing, clock, log: logger });
    this.#readers = new StreamReaders({
      ...{ connection: this.#connection, workers: this.#workers, leaseMs: options.leaseMs, clock, log: logger },
      make: (group, workers, seats) => this.#reader(group, workers, seats),
    });
    inbox.on('queue:released', ([stream = '']) => {
      for (const reader of this.#readers.all) reader.look(stream);
    });
    inbox.on('queue:due', ([stream = '', delayMs]) => {
      // Another process of the group has found a second group, and may stop before its retry is due.
      this.retriesUsed(stream);
      this.delayed(stream, Number(delayMs));
    });
    inbox.on('queue:schedule-due', ([stream = '', delayMs]) => {
      this.#schedules.expect(stream, Number(delayMs));
    });
    inbox.onResync(() => {
      for (const loops of [...this.#promoters.values(), this.#schedules]) loops.look();
    });
    this.#renewer = new LeaseRenewer({
      ...{ workers: this.#workers, link, consumer: this.#consumer, leaseMs: options.leaseMs, clock, report },
      retention: options.dead,
      listener: {
        lapsed: (worker) => this.#readerOf(worker)?.interrupt(),
        pauseChanged: (worker, paused) => {
          this.#pauseChanged(worker, paused);
        },
        usesChanged: (worker) => {
          this.#usesChanged(worker);
        },
        cancelled: (worker) => void this.#cancellations.look(worker),
        found: (worker, findings) => this.#readerOf(worker)?.found(worker, findings),
        due: (worker, dueMs) => this.#promoters.get(worker.keys.stream)?.told(dueMs),
        scheduleDue: ({ keys }, dueMs) => {
          this.#schedules.told(keys.stream, dueMs);
        },
        refused: (worker) => {
          worker.lostGroup();
          this.#readerOf(worker)?.interrupt();
        },
      },
    });
    const look = (): void => {
      this.#renewer.look();
    };
    inbox.on('queue:paused', ([paused = '', on, replyTo = '', token = '']) => {
      if (on === '1') this.#pausedByMessage(paused, replyTo, token);
      look();
    });
    inbox.onResync(look);
  }

  start(localPauses: LocalPauses): void {
    const { logger } = this.#connections;
    const haltChanged = (worker: Worker): void => {
      this.#haltChanged(worker);
    };
    localPauses.attach({
      workers: this.#workers,
      haltChanged,
      log: (message) => {
        logger.log(message);
      },
    });
    this.#renewer.start();
    for (const loops of [...this.#promoters.values(), this.#schedules, this.#healers]) loops.start();
    void this.#readers.start();
  }

  /**
   * Resolves when all groups exist and all schedules are stored, or after `ms` for each. If a group were created after the app is up, it could miss tasks that the app
   * publishes: another group may have settled a task, and then the task is deleted.
   */
  async opened(ms: number): Promise<void> {
    await this.#within(ms, (worker) => worker.whenOpened());
    await this.#schedules.declared(ms);
    refuseMisfits(this.#workers);
  }

  creditGained(worker: Worker): void {
    this.#readerOf(worker)?.creditGained(worker);
  }

  bufferedWhileHalted(worker: Worker): void {
    void this.#returnPrefetched(worker);
  }

  tooLate(worker: Worker, ids: readonly string[]): void {
    debug?.('%s: %d tasks came too late for the rate', worker.keys.stream, ids.length);
    // By the grace that they came with, before it is doubled. If this fails, the next reconciliation finds them.
    void this.#try('returning tasks', async () => {
      await this.#taskReturner.returnUnstarted(worker, ids);
      this.#readerOf(worker)?.look(worker.keys.stream);
    });
    worker.limits?.grace?.missed();
  }

  delayed(stream: string, delayMs: number): void {
    this.#promoters.get(stream)?.expect(delayMs);
  }

  retriesUsed(stream: string): void {
    this.#readers.retriesUsed(stream);
  }

  cancelled(about: TaskCancelledMessage): void {
    this.#cancellations.dropped(about);
  }

  isolatedSettled(worker: Worker): void {
    this.#readerOf(worker)?.look(worker.keys.stream);
  }

  /**
   * Stops all work: stops reading, returns the tasks that did not start, waits for the tasks that run (up to `drainMs`), aborts
   * and returns the rest, and gives up the leases. Without Redis, other processes take over once the leases have ended.
   */
  async drain(): Promise<void> {
    for (const worker of this.#workers) worker.drain();
    const loops = [...this.#promoters.values(), this.#schedules, this.#healers, this.#readers];
    await Promise.all(loops.map((loop) => loop.stop()));
    await Promise.all(this.#workers.map((worker) => this.#returnPrefetched(worker)));
    await this.#finish();
    await this.#within(CONFIRM_MS, (worker) => worker.settled());
    for (const worker of this.#workers) worker.abort();
    this.#retryUntilConfirmed.close();
    await this.#renewer.stop();
    await Promise.all(this.#workers.map((worker) => this.#leave(worker)));
  }

  #readerOf(worker: Worker): QueueReader | undefined {
    return this.#readers.of(worker);
  }

  /** Starts no more tasks of the queue, and confirms this: the caller of `pause` waits for the confirmation. */
  #pausedByMessage(paused: string, replyTo: string, token: string): void {
    const workers = this.#workers.filter(({ keys }) => keys.paused === paused);
    for (const worker of workers) if (worker.lease.markPaused()) this.#pauseChanged(worker, true);
    const message = frame('queue:pause-confirmed', token, this.#consumer);
    void this.#try('confirming a pause', () => this.#connection.commands.send('publish', [replyTo, message]));
  }

  #pauseChanged(worker: Worker, paused: boolean): void {
    const { logger } = this.#connections;
    debug?.('%s: %s', worker.keys.stream, paused ? 'paused' : 'resumed');
    if (worker.retries && isOfQueue(worker))
      logger.log(`queue '${worker.handler.queue}' ${paused ? 'is paused' : 'goes on'}`);
    this.#haltChanged(worker);
  }

  /** A newer release keeps data in the worker's queue that this release does not know, or does not any more. */
  #usesChanged(worker: Worker): void {
    const { handler, lease, retries } = worker;
    // The worker on the retries looks at the same key.
    if (retries) this.#newerData.saw(handler.queue, handler.options.group, lease.unknown);
    if (worker.state !== 'closed') this.#haltChanged(worker);
  }

  #haltChanged(worker: Worker): void {
    if (!worker.lease.halted) this.#readerOf(worker)?.resume();
    else {
      this.bufferedWhileHalted(worker);
      this.#readerOf(worker)?.interrupt();
    }
  }

  /** One promoter per stream. It runs when a task is due. */
  #promoter(worker: Worker): DueLoop {
    const { clock, logger: log } = this.#connections;
    return new DelayedPromoter({ worker, link: this.#connection.commands, clock, log }).loop;
  }

  #reader(group: string, workers: readonly Worker[], seats: ReadSeats): QueueReader {
    const { clock, logger: log } = this.#connections;
    const { leaseMs, maxPayloadBytes } = this.#options;
    const connection = this.#connection;
    const consumer = this.#consumer;
    const taskReturner = this.#taskReturner;
    const onCancelled = (about: TaskCancelledMessage): void => {
      this.cancelled(about);
    };
    const maintenance = new Maintenance({
      ...{ link: connection.commands, inboxes: connection.inbox.prefix },
      keyspace: this.#connections.keyspace,
      clock,
      group,
      consumer,
      leaseMs,
      workers,
      taskReturner,
      retention: this.#options.dead,
      unreadGroups: this.#unreadGroups,
      onCancelled,
      onUses: (worker) => {
        this.#usesChanged(worker);
      },
      log,
    });
    const shared = { connection, seats, group, consumer, workers, maintenance, clock, log };
    return workers.some(({ limits }) => limits)
      ? new LimitedReader({ ...shared, readMost: mostAtOnce(maxPayloadBytes), onCancelled })
      : new StreamReader({ ...shared, maxPayloadBytes });
  }

  /**
   * Waits for the tasks that run, up to `drainMs`. If this takes long, the log names their queues: a task may itself wait for the
   * stop.
   */
  async #finish(): Promise<void> {
    const { drainMs } = this.#options;
    const { clock, logger } = this.#connections;
    const say = (what: string): void => {
      if (drainMs > QUIET_MS) logger.warn(`shutdown ${what} (queue.drainMs)`);
    };
    const cancel = clock.timer(QUIET_MS, () => {
      say(`waits for ${runningTasks(this.#workers)}, at most ${drainMs} ms`);
    });
    await this.#within(drainMs, (worker) => worker.finished());
    cancel();
    if (this.#workers.some(({ running }) => running > 0))
      say(`aborts ${runningTasks(this.#workers)} after ${drainMs} ms`);
  }

  #within(ms: number, wait: (worker: Worker) => Promise<void>): Promise<void> {
    return allWithin(this.#connections.clock, ms, this.#workers.map(wait));
  }

  async #returnPrefetched(worker: Worker): Promise<void> {
    const ids = worker.takePrefetched();
    if (ids.length > 0) await this.#try('returning tasks', () => this.#taskReturner.returnUnstarted(worker, ids));
  }

  async #leave(worker: Worker): Promise<void> {
    const { state, keys, handler } = worker;
    if (state === 'closed') return;
    const link = this.#connection.commands;
    const args = { group: handler.options.group, consumer: this.#consumer };
    await this.#try('leaving', async () => {
      await this.#taskReturner.return(worker);
      await leaveScript.run(link, { keys: { stream: keys.stream, alive: keys.alive }, args });
    });
  }

  async #try(what: string, step: () => Promise<unknown>): Promise<void> {
    try {
      await step();
    } catch (error) {
      // Without Redis, or without the stream, the leases end by themselves, and other processes get the pending tasks.
      if (isUnavailable(error)) return;
      this.#connections.logger.warn(`${what} failed: ${String(error)}`);
    }
  }
}

/** Whether the worker is that of a queue's own stream, and not of another level of its priority. */
function isOfQueue({ handler: { place, queue } }: Worker): boolean {
  return place === queue;
}
