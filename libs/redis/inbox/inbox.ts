import type { Clock } from '../time/clock.js';
import type { Instant } from '../time/instant.js';
import { unframe } from './frame.js';
import type { Link } from '../connection/link.js';
import { Loop } from '../time/loop.js';
import { isUnavailable } from '../redis.errors.js';
import { SluiceError } from '../../weave/index.js';

/** Receives the parts of one message, in the order they were framed. */
export type InboxHandler = (parts: string[]) => void;

export interface InboxOptions {
  link: Link;
  /** What the names of all inboxes of this namespace and database begin with: they end with the id of the process. */
  prefix: string;
  id: string;
  clock: Clock;
  onError: (error: unknown, what: string) => void;
  /** What a socket needs before it subscribes. */
  prepare?: () => Promise<unknown>;
  /** Called with each message as it is, for a channel that does not carry framed messages. */
  receive?: (message: unknown) => void;
}

/**
 * The largest value worth pushing. Redis closes a subscriber whose output buffer outgrows its limit (32 MB by default), and then
 * everything in the buffer is lost. So a larger value is only announced, and the receiver reads it.
 */
export const INBOX_MAX_BYTES = 64 * 1024;

/** How often the subscriber's socket is asked whether it is alive (see `proveEvery`), and how long the answer may take. */
const PING_EVERY_MS = 1_000;
const PING_DEADLINE_MS = 3_000;

const NEVER: Instant = { monoMs: -Infinity, wallMs: -Infinity };

/**
 * The messages of other processes to this one: **one** pub/sub channel per process and Redis, for all features.
 *
 * Pub/sub may lose messages (a dead socket, a full output buffer), so an inbox only saves time. A feature that waits for a
 * message also holds a timer, and after every (re)subscribe the callbacks of `onResync` let the feature ask Redis again. A
 * half-open socket is found by an unanswered PING. A message may arrive before the reply of the command that caused it, so a
 * feature registers locally before it sends.
 *
 * Redis answers a socket in order: when a PING is answered, every message that was published before it was *sent* has been
 * handled. That instant is {@link proven}.
 */
export class Inbox {
  readonly channel: string;
  /** The prefix of all inboxes. The id of a process is appended to it. */
  readonly prefix: string;
  readonly #link: Link;
  readonly #options: InboxOptions;
  readonly #handlers = new Map<string, InboxHandler>();
  readonly #resyncs = new Set<() => void>();
  readonly #keeper: Loop;
  readonly #onMessage = (_channel: Buffer, message: Buffer): void => {
    const { receive } = this.#options;
    if (receive === undefined) this.#receive(message);
    else
      this.#guard(() => {
        receive(message);
      }, 'message');
  };
  /** Channels besides the inbox of this process, which all processes read. */
  readonly #joined = new Set<string>();
  #subscribed = false;
  #pingEveryMs = PING_EVERY_MS;
  #proven = NEVER;

  constructor(options: InboxOptions) {
    this.#options = options;
    this.#link = options.link;
    this.prefix = options.prefix;
    this.channel = this.prefix + options.id;
    this.#keeper = new Loop({
      name: 'inbox',
      clock: options.clock,
      turn: () => this.#keep(),
      onError: (error, what) => {
        // A PING without an answer: the socket is half-open. A socket that closed is being replaced already.
        if (this.#subscribed) this.#link.reset();
        // The connection reports a refusal once, such as that of a user without rights on channels.
        else if (this.#link.up && !isUnavailable(error)) options.onError(error, what);
      },
    });
  }

  /** Subscribes, again after every reconnect. */
  start(): void {
    this.#link.client.on('messageBuffer', this.#onMessage);
    this.#link.onUp(() => {
      this.#keeper.wake();
    });
    this.#link.onDown(() => {
      this.#subscribed = false;
      this.#proven = NEVER;
    });
    this.#keeper.start();
  }

  /**
   * Handles messages of one kind. Kinds belong to one feature each, and begin with its name.
   *
   * @throws SluiceError `SLUICE_BAD_OPTION` when the kind has a handler: the feature's module is there twice
   */
  on(kind: string, handler: InboxHandler): void {
    if (this.#handlers.has(kind)) {
      const feature = kind.split(':')[0] ?? '';
      throw new SluiceError(
        'SLUICE_BAD_OPTION',
        `the ${feature} module of Sluice is imported twice in one app. SluiceModule and the modules of its features are global: ` +
          'import each of them once, in the root module. With isGlobal: false, import one dynamic module, kept in a constant, in all places. ' +
          'One app has one namespace',
      );
    }
    this.#handlers.set(kind, handler);
  }

  /** Called after every (re)subscribe. Messages may have been lost, so the callback should ask Redis again. */
  onResync(callback: () => void): void {
    this.#resyncs.add(callback);
  }

  /** Subscribes to one more channel, which other processes may share. Its messages go to the same handlers. */
  join(channel: string): void {
    this.#joined.add(channel);
    // A channel that is joined after the first subscription is subscribed with all others, and all features ask again.
    this.#subscribed = false;
    this.#keeper.wake();
  }

  /** Checks at least this often that the socket is alive. Default: once a second. */
  proveEvery(ms: number): void {
    this.#pingEveryMs = Math.min(this.#pingEveryMs, ms);
    this.#keeper.wake();
  }

  /** When the newest answered request on this subscription was sent, on both clocks; long ago if there is none. */
  get proven(): Instant {
    return this.#proven;
  }

  async stop(): Promise<void> {
    this.#link.client.off('messageBuffer', this.#onMessage);
    const stopped = this.#keeper.stop();
    await this.#link.close();
    await stopped;
  }

  /** One turn: a subscribed socket is checked by a PING. A socket without a subscription is subscribed. */
  async #keep(): Promise<number | undefined> {
    if (!this.#link.up) return undefined;
    if (this.#subscribed) {
      await this.#prove(() => this.#link.send('ping', [], { deadlineMs: PING_DEADLINE_MS }));
      return this.#pingEveryMs;
    }
    await this.#options.prepare?.();
    const channels = [this.channel, ...this.#joined];
    await this.#prove(async () => {
      await this.#link.send('subscribe', channels);
      // A channel that was joined meanwhile is subscribed in the next turn.
      this.#subscribed = this.#link.up && channels.length === this.#joined.size + 1;
    });
    for (const resync of this.#resyncs) this.#guard(resync, 'resync');
    return this.#restMs();
  }

  #restMs(): number {
    return this.#subscribed ? this.#pingEveryMs : 0;
  }

  /** Notes when an answered request was sent. An answer on another subscription than the request proves nothing. */
  async #prove(ask: () => Promise<unknown>): Promise<void> {
    const { clock } = this.#options;
    const sent = { monoMs: clock.monoMs(), wallMs: clock.wallMs() };
    await ask();
    if (this.#subscribed) this.#proven = sent;
  }

  #receive(message: Buffer): void {
    const parts = unframe(message);
    const kind = parts?.shift();
    const handler = kind === undefined ? undefined : this.#handlers.get(kind);
    if (parts === undefined || handler === undefined) return;
    try {
      handler(parts);
    } catch (error) {
      this.#options.onError(error, `message ${String(kind)}`);
    }
  }

  #guard(work: () => void, what: string): void {
    try {
      work();
    } catch (error) {
      this.#options.onError(error, what);
    }
  }
}
