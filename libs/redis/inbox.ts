import { randomUUID } from 'node:crypto';
import type { Clock } from './clock.js';
import { unframe } from './frame.js';
import type { Link } from './link.js';
import { Loop } from './loop.js';

/** Receives the parts of one message, in the order they were framed. */
export type InboxHandler = (parts: Buffer[]) => void;

export interface InboxOptions {
  link: Link;
  /** What the names of all inboxes of this namespace and database begin with. */
  prefix: string;
  clock: Clock;
  onError: (error: unknown, what: string) => void;
}

/**
 * The largest value worth pushing. Redis closes a subscriber whose output buffer outgrows its limit (32 MB by
 * default), and then everything in it is lost: above this size, announce, and let the receiver read.
 */
export const INBOX_MAX_BYTES = 64 * 1024;

/** How often the subscriber's socket is asked whether it is alive, and how long the answer may take. */
const PING_EVERY_MS = 1_000;
const PING_DEADLINE_MS = 3_000;

/**
 * What other processes tell this one: **one** pub/sub channel per process and Redis, for all features.
 *
 * Pub/sub may lose messages (a dead socket, a full output buffer), so an inbox only ever saves time: whoever
 * waits for a message also holds a timer, and after every (re)subscribe `onResync` tells it to ask again. A
 * half-open socket is found by an unanswered PING. A message may arrive before the reply of the command that
 * caused it: register locally before sending.
 */
export class Inbox {
  /** `prefix` and `id`. */
  readonly channel: string;
  readonly prefix: string;
  /** This process' own part of the name. Free of colons. */
  readonly id = randomUUID();
  readonly #link: Link;
  readonly #options: InboxOptions;
  readonly #handlers = new Map<string, InboxHandler>();
  readonly #resyncs = new Set<() => void>();
  readonly #keeper: Loop;
  readonly #onMessage = (_channel: Buffer, message: Buffer): void => {
    this.#receive(message);
  };
  #subscribed = false;

  constructor(options: InboxOptions) {
    this.#options = options;
    this.#link = options.link;
    this.prefix = options.prefix;
    this.channel = this.prefix + this.id;
    this.#keeper = new Loop({
      name: 'inbox',
      clock: options.clock,
      turn: () => this.#keep(),
      onError: (error, what) => {
        // A PING without an answer: the socket is half-open. One that closed is being replaced already.
        if (this.#subscribed) this.#link.reset();
        else if (this.#link.up) options.onError(error, what);
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
    });
    this.#keeper.start();
  }

  /** Handles messages of one kind. Kinds belong to one feature each. */
  on(kind: string, handler: InboxHandler): void {
    if (this.#handlers.has(kind)) throw new Error(`inbox kind '${kind}' has a handler already`);
    this.#handlers.set(kind, handler);
  }

  /** Called after every (re)subscribe: messages may have been lost, ask Redis for what you wait for. */
  onResync(callback: () => void): void {
    this.#resyncs.add(callback);
  }

  async stop(): Promise<void> {
    this.#link.client.off('messageBuffer', this.#onMessage);
    const stopped = this.#keeper.stop();
    await this.#link.close();
    await stopped;
  }

  /** One turn: subscribed sockets are asked whether they live, others are subscribed. */
  async #keep(): Promise<number | undefined> {
    if (!this.#link.up) return undefined;
    if (this.#subscribed) {
      await this.#link.send('ping', [], { deadlineMs: PING_DEADLINE_MS });
      return PING_EVERY_MS;
    }
    await this.#link.send('subscribe', [this.channel]);
    this.#subscribed = this.#link.up;
    for (const resync of this.#resyncs) this.#guard(resync, 'resync');
    return PING_EVERY_MS;
  }

  #receive(message: Buffer): void {
    const parts = unframe(message);
    const kind = parts?.shift()?.toString();
    const handler = kind === undefined ? undefined : this.#handlers.get(kind);
    if (parts === undefined || handler === undefined) return;
    this.#guard(
      () => {
        handler(parts);
      },
      `message ${String(kind)}`,
    );
  }

  #guard(work: () => void, what: string): void {
    try {
      work();
    } catch (error) {
      this.#options.onError(error, what);
    }
  }
}
