import { isReplyError, type Clock, type Link, type RedisConnection } from '../redis/index.js';
import { SluiceError } from '../weave/index.js';

/** How long past its BLOCK a read may go unanswered until it is given up. */
const READ_GRACE_MS = 5_000;
/** How long a stop waits for the reads under way. */
const STOP_READ_MS = 2_000;
/** Sockets that are kept for the next read when nobody reads. */
const IDLE_SOCKETS = 2;
/** An unblocking that overtook its read is repeated; this often, then the socket is closed under it. */
const UNBLOCK_TRIES = 10;

/** A socket for reads that block, one at a time. */
interface Seat {
  readonly link: Link;
  clientId: number | undefined;
  onFree: (() => void) | undefined;
}

/**
 * Reads that block, on sockets of their own: while one waits, nothing else gets through its socket.
 *
 * There are as many sockets as reads that wait at the same time; afterwards two are kept for the next ones.
 */
export class BlockingReads {
  readonly #connection: RedisConnection;
  readonly #clock: Clock;
  readonly #idle: Seat[] = [];
  readonly #busy = new Set<Seat>();
  #closed = false;

  constructor(connection: RedisConnection, clock: Clock) {
    this.#connection = connection;
    this.#clock = clock;
  }

  /**
   * Sends one command that blocks for at most `blockMs`.
   *
   * @throws SluiceError `SLUICE_QUEUE_CLOSED` once the app has begun to stop
   */
  async read(command: string, args: readonly (string | number)[], blockMs: number): Promise<unknown> {
    if (this.#closed) {
      throw new SluiceError('SLUICE_QUEUE_CLOSED', 'the app shuts down: nothing is consumed any more');
    }
    const seat = this.#take();
    let reusable = false;
    try {
      seat.clientId ??= await seat.link.send<number>('client', ['id']);
      // Nothing was read yet, and a stop may have begun while the socket was opened.
      const reply: unknown = this.#isClosed()
        ? null
        : await seat.link.send(command, args, { deadlineMs: blockMs + READ_GRACE_MS });
      reusable = true;
      return reply;
    } catch (error) {
      // What the server refuses leaves the socket as it was; after all else the next read begins on a new one.
      reusable = isReplyError(error, '');
      throw error;
    } finally {
      this.#busy.delete(seat);
      seat.onFree?.();
      if (reusable && seat.link.up && !this.#isClosed() && this.#idle.length < IDLE_SOCKETS) this.#idle.push(seat);
      else await this.#connection.closeLink(seat.link);
    }
  }

  /** Ends every read: those that wait answer that nothing came, what was delivered before is still handed over. */
  async close(): Promise<void> {
    this.#closed = true;
    const reads = [...this.#busy].map((seat) => this.#end(seat));
    await Promise.all([...this.#idle.splice(0).map(({ link }) => this.#connection.closeLink(link)), ...reads]);
  }

  /** Asked again after an await, where the compiler would think that it knows. */
  #isClosed(): boolean {
    return this.#closed;
  }

  #take(): Seat {
    // One whose socket died while it was idle connects again by itself, under another client id.
    const seat = this.#idle.pop() ?? this.#open();
    this.#busy.add(seat);
    return seat;
  }

  #open(): Seat {
    const seat: Seat = { link: this.#connection.openLink('queue-raw'), clientId: undefined, onFree: undefined };
    seat.link.onDown(() => {
      seat.clientId = undefined;
    });
    return seat;
  }

  async #end(seat: Seat): Promise<void> {
    const freed = new Promise<void>((resolve) => (seat.onFree = resolve));
    const giveUp = this.#clock.timer(STOP_READ_MS, () => void this.#connection.closeLink(seat.link));
    await this.#unblock(seat);
    await freed;
    giveUp();
  }

  /** The unblocking may reach Redis before the read does: the two travel on different sockets. */
  async #unblock(seat: Seat): Promise<void> {
    const { commands } = this.#connection;
    try {
      for (let tries = 0; this.#busy.has(seat) && tries < UNBLOCK_TRIES; tries++) {
        if (seat.clientId === undefined) return;
        if ((await commands.send('client', ['unblock', seat.clientId])) === 1) return;
      }
    } catch {
      // Without Redis the read has lost its socket as well, or is given up.
    }
  }
}
