import { isUnavailable, type RedisConnection, type RedisConnections } from '../../redis/index.js';
import { TaskReturner } from './task-returner.js';
import type { Handler } from '../handlers/handler.registry.js';
import { WorkerLease } from './worker-lease.js';
import { LeaseRenewer } from './loops/lease-renewer.js';
import { DelayedPromoter } from './loops/delayed-promoter.js';
import { StreamReader } from './loops/stream-reader.js';
import { RetryUntilConfirmed } from './retry-until-confirmed.js';
import { consumerName, queueKeys, retryKeys, type QueueKeys } from '../store/queue.keys.js';
import type { ResolvedQueueOptions } from '../queue.options.js';
import { leaveScript } from '../store/scripts/leave.script.js';
import { ConcurrencyWindow } from './concurrency-window.js';
import { Maintenance } from './loops/maintenance.js';
import { Worker } from './worker.js';

/** How long a stop waits for Redis to confirm what is finished. */
const CONFIRM_MS = 2_000;

/** All that works on queues in this process: a worker per queue, a reader per group, one keeper of leases. */
export class WorkerPool {
  readonly #connections: RedisConnections;
  readonly #connection: RedisConnection;
  readonly #options: ResolvedQueueOptions;
  readonly #consumer: string;
  readonly #untilConfirmed: RetryUntilConfirmed;
  readonly #taskReturner: TaskReturner;
  readonly #workers: Worker[];
  readonly #readers: StreamReader[];
  readonly #keeper: LeaseRenewer;
  readonly #promoters: DelayedPromoter[];

  constructor(connections: RedisConnections, options: ResolvedQueueOptions, handlers: readonly Handler[]) {
    const { clock, logger } = connections;
    const report = (message: string): void => {
      logger.warn(message);
    };
    this.#connections = connections;
    this.#connection = connections.get(options.connection);
    this.#options = options;
    this.#consumer = consumerName(connections.processId);
    this.#untilConfirmed = new RetryUntilConfirmed(clock, report);
    const { commands: link, inbox } = this.#connection;
    this.#taskReturner = new TaskReturner({ link, consumer: this.#consumer, inboxes: inbox.prefix });
    this.#workers = handlers.flatMap((handler) => this.#workersOf(handler));
    const groups = [...new Set(handlers.map((handler) => handler.options.group))];
    const readers = new Map(groups.map((group) => [group, this.#reader(group)]));
    this.#readers = [...readers.values()];
    const promoters = new Map(this.#workers.map((worker) => [worker.keys.stream, this.#promoter(worker)]));
    for (const worker of this.#workers) {
      worker.onDelayed = (stream, delayMs) => promoters.get(stream)?.expect(delayMs);
    }
    this.#promoters = [...promoters.values()];
    inbox.on('queue:released', ([stream = '']) => {
      for (const reader of this.#readers) reader.look(stream);
    });
    inbox.on('queue:due', ([stream = '', delayMs]) => promoters.get(stream)?.expect(Number(delayMs)));
    inbox.onResync(() => {
      for (const promoter of this.#promoters) promoter.look();
    });
    this.#keeper = new LeaseRenewer({
      workers: this.#workers,
      leaseMs: options.leaseMs,
      clock,
      onLapse: ({ handler }) => readers.get(handler.options.group)?.interrupt(),
      onPause: (worker, paused) => {
        const reader = readers.get(worker.handler.options.group);
        if (worker.retries) logger.log(`queue '${worker.handler.queue}' ${paused ? 'is paused' : 'goes on'}`);
        if (!paused) reader?.resume();
        else {
          worker.onBufferedWhilePaused();
          reader?.interrupt();
        }
      },
      report,
    });
    const look = (): void => {
      this.#keeper.look();
    };
    inbox.on('queue:paused', look);
    inbox.onResync(look);
  }

  start(): void {
    this.#keeper.start();
    for (const promoter of this.#promoters) promoter.start();
    for (const reader of this.#readers) reader.start();
  }

  /**
   * Leaves nothing behind: stops reading, gives back what did not start, waits for what runs (up to `drainMs`), aborts
   * and gives back the rest, and gives the leases up. Without Redis the others do the same once the leases have ended.
   */
  async drain(): Promise<void> {
    for (const worker of this.#workers) worker.drain();
    await Promise.all([...this.#promoters, ...this.#readers].map((loop) => loop.stop()));
    await Promise.all(this.#workers.map((worker) => this.#giveUnstarted(worker)));
    await this.#within(this.#options.drainMs, (worker) => worker.finished());
    await this.#within(CONFIRM_MS, (worker) => worker.settled());
    for (const worker of this.#workers) worker.close();
    this.#untilConfirmed.close();
    await this.#keeper.stop();
    await Promise.all(this.#workers.map((worker) => this.#leave(worker)));
  }

  /** One for the queue, one for its group's retries, which is idle unless other groups read the queue as well. */
  #workersOf(handler: Handler): Worker[] {
    const { keyspace, clock } = this.#connections;
    const slots = new ConcurrencyWindow(handler.options.concurrency, clock);
    const retries = this.#worker(handler, slots, retryKeys(keyspace, handler.queue, handler.options.group));
    return [this.#worker(handler, slots, queueKeys(keyspace, handler.queue), retries), retries];
  }

  #worker(handler: Handler, slots: ConcurrencyWindow, keys: QueueKeys, retries?: Worker): Worker {
    const { clock, logger: log } = this.#connections;
    const { leaseMs } = this.#options;
    const link = this.#connection.commands;
    const consumer = this.#consumer;
    const lease = new WorkerLease({ link, clock, alive: keys.alive, pausedKey: keys.paused, consumer, leaseMs });
    const inboxes = this.#connection.inbox.prefix;
    const untilConfirmed = this.#untilConfirmed;
    const parts = { handler, slots, keys, retries, consumer, lease, link, inboxes, clock, untilConfirmed, log };
    const worker = new Worker(parts);
    worker.onBufferedWhilePaused = () => void this.#giveUnstarted(worker);
    return worker;
  }

  /** One per stream, awake when something is due. */
  #promoter(worker: Worker): DelayedPromoter {
    const { clock, logger: log } = this.#connections;
    return new DelayedPromoter({ worker, link: this.#connection.commands, clock, log });
  }

  #reader(group: string): StreamReader {
    const workers = this.#workers.filter((worker) => worker.handler.options.group === group);
    const { clock, logger: log } = this.#connections;
    const { leaseMs } = this.#options;
    const connection = this.#connection;
    const consumer = this.#consumer;
    const taskReturner = this.#taskReturner;
    const maintenance = new Maintenance({
      link: connection.commands,
      clock,
      group,
      consumer,
      leaseMs,
      workers,
      taskReturner,
      log,
    });
    return new StreamReader({ connection, group, consumer, workers, maintenance, clock, log });
  }

  /** Waits for all workers, but not longer than `ms`. */
  async #within(ms: number, wait: (worker: Worker) => Promise<void>): Promise<void> {
    await new Promise<void>((resolve) => {
      const cancel = this.#connections.clock.timer(ms, resolve);
      void Promise.all(this.#workers.map(wait)).then(() => {
        cancel();
        resolve();
      });
    });
  }

  async #giveUnstarted(worker: Worker): Promise<void> {
    const ids = worker.returnPrefetched();
    if (ids.length > 0) await this.#try('handing tasks back', () => this.#taskReturner.return(worker, ids));
  }

  async #leave(worker: Worker): Promise<void> {
    const { open, keys, handler } = worker;
    if (!open) return;
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
      // Without Redis, or without the stream: the leases end by themselves, and what was pending goes to others.
      if (isUnavailable(error)) return;
      this.#connections.logger.warn(`${what} failed: ${String(error)}`);
    }
  }
}
