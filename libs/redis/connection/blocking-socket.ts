import { isReplyError } from '../redis.errors.js';
import type { Clock } from '../time/clock.js';
import type { RedisConnection } from './connection.js';
import type { Link } from './link.js';

/** How long past its BLOCK a read may go unanswered. Then it rejects: the socket is half-open. */
export const READ_GRACE_MS = 5_000;
/** How long a stop waits for the read under way. Then the socket is closed under it. */
const STOP_READ_MS = 2_000;
/** An unblocking that overtook its read is repeated this often. After that the read ends when its BLOCK is over. */
const UNBLOCK_TRIES = 10;

/**
 * How the server names a socket. After a failover, the id alone may be that of another client. A part that the server does not
 * tell is undefined: managed services refuse `CLIENT INFO`, some also `CLIENT ID`.
 */
export interface SocketName {
  readonly id: string | undefined;
  readonly addr: string | undefined;
}

export interface BlockingSocketOptions {
  readonly connection: RedisConnection;
  readonly clock: Clock;
  /** The purpose of the socket, as in `CLIENT LIST`: `queue` gives `sluice:queue`. */
  readonly purpose: string;
  /** Called when a socket that the server had named died. The link connects again by itself, under another name. */
  readonly lost?: (name: SocketName) => void;
}

/**
 * A socket of its own for reads that block, one at a time. While a read blocks, no other command gets through its socket.
 *
 * `CLIENT UNBLOCK`, sent on the connection's socket for commands, ends such a read early. A read that blocks has delivered
 * nothing yet, so nothing is lost.
 *
 *   opened ── identify ──► named ── read ──► blocked ── reply or interrupt ──► named
 *   any of them ── the socket dies ──► opened
 */
export class BlockingSocket {
  readonly link: Link;
  readonly #connection: RedisConnection;
  readonly #clock: Clock;
  #name: SocketName | undefined;
  /** The number of the latest read. Tells an interrupt that its read is over, though the next one has begun. */
  #read = 0;
  #blocked = false;

  constructor({ connection, clock, purpose, lost }: BlockingSocketOptions) {
    this.#connection = connection;
    this.#clock = clock;
    this.link = connection.openLink(purpose);
    this.link.onDown(() => {
      const name = this.#name;
      this.#name = undefined;
      if (name !== undefined) lost?.(name);
    });
  }

  /** True once the server was asked for the name of the socket. A read that began earlier could not be interrupted. */
  get named(): boolean {
    return this.#name !== undefined;
  }

  /**
   * Learns how the server names this socket, unless it is known. What the server refuses to tell counts as known: without an id,
   * a read ends when its BLOCK is over, and without an address, nobody can end the socket.
   *
   * @throws RedisUnavailableError, RedisRefusedError as {@link Link.send}
   */
  async identify(): Promise<void> {
    if (this.#name !== undefined) return;
    const info = await this.#tellOf('info');
    if (info === undefined) {
      this.#name = { id: await this.#tellOf('id'), addr: undefined };
      return;
    }
    const [id, addr] = ['id', 'addr'].map((field) => new RegExp(`\\b${field}=(\\S*)`).exec(info)?.[1]);
    this.#name = { id, addr };
  }

  /** The answer of CLIENT INFO or CLIENT ID. Undefined if the user may not ask, or the server does not know the command. */
  async #tellOf(subcommand: 'info' | 'id'): Promise<string | undefined> {
    try {
      return String(await this.link.send<string | number>('client', [subcommand], { quiet: true }));
    } catch (error) {
      if (isReplyError(error, 'NOPERM') || isReplyError(error, 'ERR')) return undefined;
      throw error;
    }
  }

  /**
   * Sends one command that blocks for at most `blockMs` milliseconds.
   *
   * @throws RedisUnavailableError, RedisRefusedError as {@link Link.send}; no reply within `blockMs` + 5 s is "unavailable"
   */
  async read<T>(command: string, args: readonly (string | number)[], blockMs: number): Promise<T> {
    this.#read++;
    this.#blocked = true;
    try {
      return await this.link.send<T>(command, args, { deadlineMs: blockMs + READ_GRACE_MS });
    } finally {
      this.#blocked = false;
    }
  }

  /** Ends the read under way, if there is one. It answers that nothing came, or what was delivered before. */
  async interrupt(): Promise<void> {
    const read = this.#read;
    try {
      // The unblocking may reach Redis before the read does, because they use different sockets.
      for (let tries = 0; this.#blocked && this.#read === read && tries < UNBLOCK_TRIES; tries++) {
        // The read ends with the socket that had the name.
        const id = this.#name?.id;
        if (id === undefined) return;
        if ((await this.#connection.commands.send('client', ['unblock', id], { quiet: true })) === 1) return;
      }
    } catch {
      // Redis cannot be reached or refuses: the read ends when its BLOCK is over, or with its socket.
    }
  }

  /**
   * Interrupts the read under way, and closes the socket once `ended` has resolved: the caller has then handled the reply.
   * After 2 s the socket is closed under the read, which then rejects.
   */
  async stop(ended: Promise<unknown>): Promise<void> {
    void this.interrupt();
    const giveUp = this.#clock.timer(STOP_READ_MS, () => void this.close());
    await ended;
    giveUp();
    await this.close();
  }

  /** Closes the socket at once. A read under way rejects. */
  close(): Promise<void> {
    return this.#connection.closeLink(this.link);
  }
}
