import { BlockingSocket, type Clock, type RedisConnection, type SocketName } from '../../../redis/index.js';

/** How many sockets of a process block in reads of one server at most. */
export const SEATS_MOST = 32;

/** A reader that uses a seat, or waits for one. */
export interface SeatHolder {
  /** The seat is the reader's until it gives the seat back. */
  seated(seat: ReadSeat): void;
  /** Another reader waits for a seat: a read that blocks is to be ended, and the seat given back. */
  yieldSeat(): void;
  /** The socket is connected. */
  connected(): void;
  /** The socket died, and had this name. */
  lost(name: SocketName): void;
}

/** A socket that blocks in reads, and the reader that uses it now. */
export interface ReadSeat {
  readonly socket: BlockingSocket;
  holder: SeatHolder | undefined;
}

export interface ReadSeatsOptions {
  readonly connection: RedisConnection;
  readonly clock: Clock;
  /** Default {@link SEATS_MOST}. */
  readonly most?: number;
}

/**
 * The sockets on which a process reads its queues: one for each reader, up to 32. Further readers share them: a reader asks for a
 * seat when its streams have tasks, and gets the seat of the reader that has had none for the longest time. If all readers are
 * busy, each gives its seat back after a read, and gets another one in its turn.
 */
export class ReadSeats {
  readonly #options: ReadSeatsOptions;
  readonly #most: number;
  readonly #free: ReadSeat[] = [];
  /** Seats in use. The one whose reader has had no tasks for the longest time is the first one. */
  readonly #used = new Set<ReadSeat>();
  readonly #waiting = new Set<SeatHolder>();

  constructor(options: ReadSeatsOptions) {
    this.#options = options;
    this.#most = options.most ?? SEATS_MOST;
  }

  /** Whether a reader waits for a seat. A reader that has nothing to read gives its seat back then. */
  get wanted(): boolean {
    return this.#waiting.size > 0;
  }

  /** Asks for a seat. The holder is told when it is seated, perhaps at once. */
  ask(holder: SeatHolder): void {
    if (this.#waiting.has(holder)) return;
    const seat = this.#free.pop() ?? (this.#used.size < this.#most ? this.#open() : undefined);
    if (seat !== undefined) {
      this.#give(seat, holder);
      return;
    }
    this.#waiting.add(holder);
    // As many readers end their reads as others wait. A reader that is asked twice has no read to end the second time.
    [...this.#used][this.#waiting.size - 1]?.holder?.yieldSeat();
  }

  /** The reader has brought tasks. Others give their seats away before it. */
  wasBusy(seat: ReadSeat): void {
    if (this.#used.delete(seat)) this.#used.add(seat);
  }

  /** The reader needs the seat no longer. */
  giveBack(seat: ReadSeat): void {
    this.#used.delete(seat);
    seat.holder = undefined;
    const [next] = this.#waiting;
    if (next === undefined) {
      this.#free.push(seat);
      return;
    }
    this.#waiting.delete(next);
    this.#give(seat, next);
  }

  /** Ends the read under way, waits for `ended`, and closes the holder's seat. Without a seat, the holder waits for none any more. */
  async leave(holder: SeatHolder, seat: ReadSeat | undefined, ended: Promise<unknown>): Promise<void> {
    this.#waiting.delete(holder);
    if (seat === undefined) await ended;
    else {
      await seat.socket.stop(ended);
      this.#used.delete(seat);
    }
  }

  /** Closes the seats that no reader has. */
  async close(): Promise<void> {
    await Promise.all(this.#free.splice(0).map(({ socket }) => socket.close()));
  }

  #give(seat: ReadSeat, holder: SeatHolder): void {
    seat.holder = holder;
    this.#used.add(seat);
    holder.seated(seat);
  }

  #open(): ReadSeat {
    const { connection, clock } = this.#options;
    const seat: ReadSeat = {
      socket: new BlockingSocket({
        connection,
        clock,
        purpose: 'queue',
        // Without a holder, no read was under way.
        lost: (name) => seat.holder?.lost(name),
      }),
      holder: undefined,
    };
    seat.socket.link.onUp(() => seat.holder?.connected());
    return seat;
  }
}
