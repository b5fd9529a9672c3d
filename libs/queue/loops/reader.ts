import { Loop, type Clock, type Link, type RedisConnection } from '../../redis/index.js';
import { isSluiceError } from '../../weave/index.js';
import { batches } from '../stream-reply.js';
import type { Upkeep } from '../upkeep.js';
import type { Worker } from '../worker.js';

export interface ReaderOptions {
  connection: RedisConnection;
  group: string;
  consumer: string;
  workers: readonly Worker[];
  upkeep: Upkeep;
  clock: Clock;
  log: { warn(message: string): void };
}

/** How long past its BLOCK a read may go unanswered until its socket is given up. */
const READ_GRACE_MS = 5_000;
/** How long a stop waits for the last read. */
const STOP_READ_MS = 2_000;
/** An unblocking that overtook its read is repeated; this often, then the read ends by itself within a sweep. */
const UNBLOCK_TRIES = 10;

/**
 * Reads for all queues of one group, on a socket of its own: one blocking XREADGROUP over those that have credit.
 *
 * COUNT holds for each stream of the call, so it is the smallest credit among them. Queues without credit are left
 * out; when one gets credit while the others' read blocks, CLIENT UNBLOCK ends that read, at which point nothing can
 * have been delivered, and the next one includes it. An idle queue's task is here one round trip after its XADD.
 */
export class Reader {
  readonly #options: ReaderOptions;
  readonly #link: Link;
  readonly #loop: Loop;
  #clientId: number | undefined;
  /** The queues of the read under way. */
  #reading: ReadonlySet<Worker> | undefined;

  constructor(options: ReaderOptions) {
    this.#options = options;
    const { connection, clock, group, log } = options;
    this.#link = connection.openLink('queue');
    this.#loop = new Loop({
      name: 'queue reader',
      clock,
      turn: (signal) => this.#turn(signal),
      onError: (error) => {
        // An outage is the connection's to report.
        if (isSluiceError(error, 'SLUICE_REDIS_UNAVAILABLE')) return;
        log.warn(`reading for group '${group}' failed, and goes on: ${String(error)}`);
      },
    });
    this.#link.onUp(() => {
      this.#clientId = undefined;
      this.#loop.wake();
    });
    for (const worker of options.workers) {
      worker.onCredit = () => {
        if (this.#reading?.has(worker) !== true) this.interrupt();
      };
    }
  }

  start(): void {
    this.#loop.start();
  }

  /** Lets the next turn begin now. */
  interrupt(): void {
    if (this.#reading === undefined) this.#loop.wake();
    else void this.#unblock(this.#reading);
  }

  /** The queue of a worker of this group goes on: what was handed back meanwhile is taken at once. */
  resume(): void {
    this.#options.upkeep.sweepNext();
    this.interrupt();
  }

  /** Ends the read under way; what it may still have delivered is accepted first. Then closes the socket. */
  async stop(): Promise<void> {
    const { connection, clock } = this.#options;
    const ended = this.#loop.stop();
    if (this.#reading) void this.#unblock(this.#reading);
    const giveUp = clock.timer(STOP_READ_MS, () => void connection.closeLink(this.#link));
    await ended;
    giveUp();
    await connection.closeLink(this.#link);
  }

  async #turn(signal: AbortSignal): Promise<number | undefined> {
    // Woken when the socket is there again.
    if (!this.#link.up) return undefined;
    const { workers, upkeep } = this.#options;
    this.#clientId ??= await this.#link.send<number>('client', ['id']);
    const restMs = await upkeep.run();
    const ready = workers.filter((worker) => worker.readable);
    if (signal.aborted || ready.length === 0) return restMs;
    await this.#read(ready, Math.ceil(restMs));
    this.#loop.wake();
    return undefined;
  }

  async #read(ready: readonly Worker[], blockMs: number): Promise<void> {
    const { group, consumer } = this.#options;
    const count = Math.min(...ready.map((worker) => worker.credit));
    const streams = ready.map((worker) => worker.keys.stream);
    const args = ['GROUP', group, consumer, 'COUNT', count, 'BLOCK', blockMs, 'STREAMS', ...streams];
    this.#reading = new Set(ready);
    try {
      const reply = await this.#link.send('xreadgroup', [...args, ...streams.map(() => '>')], {
        deadlineMs: blockMs + READ_GRACE_MS,
      });
      for (const [stream, entries] of batches(reply)) {
        const worker = ready.find((each) => each.keys.stream === stream);
        worker?.accept(entries.map(([id, fields]) => ({ id, fields, deliveries: 1 })));
      }
    } catch (error) {
      if (!isSluiceError(error, 'SLUICE_REDIS_UNAVAILABLE')) {
        // One stream may spoil the read of all: each is opened anew by itself, and the sick one stays out.
        for (const worker of ready) worker.open = false;
        throw error;
      }
      // No answer long after BLOCK was over: the socket is half-open.
      if (this.#link.up) this.#link.reset();
    } finally {
      this.#reading = undefined;
    }
  }

  /** The unblocking may reach Redis before the read does: the two travel on different sockets. */
  async #unblock(read: ReadonlySet<Worker>): Promise<void> {
    const { commands } = this.#options.connection;
    try {
      for (let tries = 0; this.#reading === read && tries < UNBLOCK_TRIES; tries++) {
        if ((await commands.send('client', ['unblock', this.#clientId ?? 0])) === 1) return;
      }
    } catch {
      // Not now: the read ends by itself when its BLOCK is over.
    }
  }
}
