import { BlockingSocket, isReplyError, type Clock, type RedisConnection } from '../redis/index.js';
import { SluiceError } from '../weave/index.js';

/** How many sockets are kept for the next reads. */
const IDLE_SOCKETS = 2;

/** A socket in use, or kept for the next read. */
interface Seat {
  readonly socket: BlockingSocket;
  /** Called when the read has ended; set by a stop. */
  onFree: (() => void) | undefined;
}

/**
 * Reads that block, each on a socket of its own: while a read waits, no other command can use its socket.
 *
 * There are as many sockets as reads that wait at the same time. Afterwards two sockets are kept for the next reads.
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
   * Sends one command that blocks for at most `blockMs` milliseconds.
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
      await seat.socket.identify();
      // No task was read yet, and a stop may have begun while the socket was opened.
      const reply: unknown = this.#isClosed() ? null : await seat.socket.read(command, args, blockMs);
      reusable = true;
      return reply;
    } catch (error) {
      // After a refusal by the server the socket can be used again. After any other error the next read gets a new socket.
      reusable = isReplyError(error, '');
      throw error;
    } finally {
      this.#busy.delete(seat);
      seat.onFree?.();
      if (reusable && seat.socket.link.up && !this.#isClosed() && this.#idle.length < IDLE_SOCKETS)
        this.#idle.push(seat);
      else await seat.socket.close();
    }
  }

  /** Ends every read. A waiting read ends without tasks; tasks that were delivered before are still returned. */
  async close(): Promise<void> {
    this.#closed = true;
    const reads = [...this.#busy].map((seat) => {
      const freed = new Promise<void>((resolve) => (seat.onFree = resolve));
      return seat.socket.stop(freed);
    });
    await Promise.all([...this.#idle.splice(0).map(({ socket }) => socket.close()), ...reads]);
  }

  /** Reads the state again after an await, where the compiler would assume that it has not changed. */
  #isClosed(): boolean {
    return this.#closed;
  }

  #take(): Seat {
    // A socket that died while it was idle connects again by itself, and is identified again.
    const seat = this.#idle.pop() ?? this.#open();
    this.#busy.add(seat);
    return seat;
  }

  #open(): Seat {
    const options = { connection: this.#connection, clock: this.#clock, purpose: 'queue-raw' };
    return { socket: new BlockingSocket(options), onFree: undefined };
  }
}
