import type { Clock } from '../time/clock.js';
import type { Instant } from '../time/instant.js';
import { unframe } from './frame.js';
import { InboxProof, PROOF } from './inbox-proof.js';
import type { Link } from '../connection/link.js';
import { Loop } from '../time/loop.js';
import { isUnavailable } from '../redis.errors.js';
import { SluiceError } from '../../weave/index.js';

/** Receives the parts of one message, in the order they were framed. */
export type InboxHandler = (parts: string[]) => void;

/** What rests on the proof of an inbox, and needs it more often than once a second. */
export interface ProofNeed {
  /** How often, in milliseconds. */
  everyMs: number;
  /** Whether it is needed now. */
  isNeeded: () => boolean;
  /**
   * A counter in Redis that every message of a kind increments in the step that sends it. `heard` gets the value that it had at
   * the proof: another one than that of the last message means that a message was lost on the way.
   */
  counter?: { key: string; heard: (value: string) => void };
}

export interface InboxOptions {
  /** The subscriber's link. */
  link: Link;
  /** The link that carries the commands of this process. */
  commands: Link;
  /** What the names of all inboxes of this namespace and database begin with: they end with the id of the process. */
  prefix: string;
  id: string;
  clock: Clock;
  onError: (error: unknown, what: string) => void;
  /** What a socket needs before it subscribes. */
  prepare?: () => Promise<unknown>;
  /** Called with each message as it is, for a channel that does not carry framed messages. */
  receive?: (message: unknown) => void;
  /** The channel of the proof. Default: that of the inbox. */
  proofChannel?: string;
  /**
   * Called when a proof was published and not heard, with how many times in a row by now. The subscriber's socket is being
   * connected again.
   */
  onUnheard?: (times: number) => void;
  /** Called when a proof is heard after one that was not. */
  onHeardAgain?: () => void;
}

/**
 * The largest value worth pushing. Redis closes a subscriber whose output buffer outgrows its limit (32 MB by default), and then
 * everything in the buffer is lost. So a larger value is only announced, and the receiver reads it.
 */
export const INBOX_MAX_BYTES = 64 * 1024;

/** How often it is proven that messages arrive, in milliseconds (see `proveFor`). */
const PROVE_EVERY_MS = 1_000;

const NEVER: Instant = { monoMs: -Infinity, wallMs: -Infinity };

/**
 * The messages of other processes to this one: **one** pub/sub channel per process and Redis, for all features.
 *
 * Pub/sub may lose messages (a dead socket, a full output buffer), so an inbox only saves time. A feature that waits for a
 * message also holds a timer, and after every (re)subscribe the callbacks of `onResync` let the feature ask Redis again. A
 * message may arrive before the reply of the command that caused it, so a feature registers locally before it sends.
 *
 * **The proof.** Once a second this process publishes a numbered message to itself, on the link that carries its commands, and
 * must hear it on the subscriber. So it is known that both links lead to one server, and that what is published there arrives.
 * A PING on the subscriber would prove that its own server answers, which after a failover may be another one.
 *
 * Redis executes one command after the other, and keeps the order of what it sends to a subscriber; so do its replication and
 * the bus of a Cluster. When a proof is heard, every message that was published before the proof was *sent*, at the server that
 * executes the commands, has been handled. That instant is {@link proven}. Messages may be lost between two servers, before a
 * proof that arrives: whoever cannot bear that gives a counter ({@link ProofNeed}).
 *
 * A proof that is published and not heard within a second, or not answered within three, fails: features ask Redis again
 * (`onResync`), and the subscriber connects again. If the commands are not connected, or Redis refuses to publish, nothing is
 * known of the subscriber, and it stays.
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
  readonly #onMessage = (channel: Buffer, message: Buffer): void => {
    const { receive, proofChannel } = this.#options;
    if (receive === undefined || channel.toString() === proofChannel) this.#receive(message);
    else
      this.#guard(() => {
        receive(message);
      }, 'message');
  };
  /** Channels besides the inbox of this process, which all processes read. */
  readonly #joined = new Set<string>();
  /** Channels that are read for a while. */
  readonly #listened = new Set<string>();
  readonly #proof: InboxProof;
  #need: ProofNeed | undefined;
  #subscribed = false;
  /** When the last proof was sent. */
  #askedMs = -Infinity;
  #proven = NEVER;

  constructor(options: InboxOptions) {
    this.#options = options;
    this.#link = options.link;
    this.prefix = options.prefix;
    this.channel = this.prefix + options.id;
    this.#proof = new InboxProof({
      commands: options.commands,
      channel: options.proofChannel ?? this.channel,
      clock: options.clock,
    });
    this.#keeper = new Loop({
      name: 'inbox',
      clock: options.clock,
      turn: () => this.#keep(),
      onError: (error, what) => {
        if (!this.#link.up) return;
        if (!isUnavailable(error)) options.onError(error, what);
        // The connection reports a refusal once, such as that of a user without rights on channels. A server that does not even
        // answer hangs, or is gone.
        else if (error.refusal === undefined) this.#link.reset();
      },
    });
  }

  /** Subscribes, again after every reconnect. */
  start(): void {
    this.#link.client.on('messageBuffer', this.#onMessage);
    for (const link of [this.#link, this.#options.commands]) {
      link.onUp(() => {
        this.#keeper.wake();
      });
    }
    this.#link.onDown(() => {
      this.#unsubscribed();
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
    this.#unsubscribed();
    this.#keeper.wake();
  }

  /**
   * Subscribes to one more channel for a while, without a word to other features. Its messages go to the same handlers. Resolves once
   * Redis has confirmed it; while the inbox has no subscription, at once: the next one includes the channel, and `onResync` tells.
   */
  async listen(channel: string): Promise<void> {
    this.#listened.add(channel);
    if (this.#subscribed) await this.#link.send('subscribe', [channel]);
  }

  /** Ends {@link listen}. A user without the right to UNSUBSCRIBE stays subscribed until the socket closes. */
  async leave(channel: string): Promise<void> {
    if (this.#listened.delete(channel) && this.#link.up) await this.#link.send('unsubscribe', [channel]);
  }

  /** Whether the channels are subscribed at this moment, as far as is known. */
  get subscribed(): boolean {
    return this.#subscribed;
  }

  /** Proves more often than once a second while it is needed. The result is to be called whenever it becomes needed. */
  proveFor(need: ProofNeed): () => void {
    this.#need = need;
    return () => {
      if (this.#options.clock.monoMs() - this.#askedMs >= need.everyMs) this.#keeper.wake();
    };
  }

  /** When the newest proof that was heard on this subscription was sent, on both clocks; long ago if there is none. */
  get proven(): Instant {
    return this.#proven;
  }

  async stop(): Promise<void> {
    this.#link.client.off('messageBuffer', this.#onMessage);
    const stopped = this.#keeper.stop();
    this.#proof.abandon();
    await this.#link.close();
    await stopped;
  }

  /** One turn: a socket without a subscription is subscribed, and what is subscribed is proven. */
  async #keep(): Promise<number | undefined> {
    if (!this.#link.up) return undefined;
    if (!this.#subscribed) await this.#subscribe();
    // The socket closed, or a channel was joined meanwhile.
    return this.#subscribed ? this.#prove() : 0;
  }

  async #subscribe(): Promise<void> {
    const { prepare, proofChannel } = this.#options;
    await prepare?.();
    const channels = [this.channel, ...this.#joined, ...this.#listened];
    await this.#link.send('subscribe', proofChannel === undefined ? channels : [...channels, proofChannel]);
    this.#subscribed = this.#link.up && channels.length === this.#joined.size + this.#listened.size + 1;
    this.#resync();
  }

  /** One proof. Answers how long to rest before the next one. */
  async #prove(): Promise<number> {
    const { clock, onUnheard, onHeardAgain } = this.#options;
    const sent = { monoMs: clock.monoMs(), wallMs: clock.wallMs() };
    this.#askedMs = sent.monoMs;
    const need = this.#need?.isNeeded() === true ? this.#need : undefined;
    const { failures } = this.#proof;
    const outcome = await this.#proof.ask(need?.counter?.key);
    if (outcome === 'heard') {
      if (this.#subscribed) this.#proven = sent;
      if (failures > 0) onHeardAgain?.();
    } else if (outcome !== 'unsent' && this.#subscribed) {
      this.#resync();
      this.#link.reset();
      if (outcome === 'unheard') onUnheard?.(this.#proof.failures);
    }
    const everyMs = need?.everyMs ?? PROVE_EVERY_MS;
    return Math.max(0, sent.monoMs + everyMs - clock.monoMs());
  }

  #unsubscribed(): void {
    this.#subscribed = false;
    this.#proof.abandon();
  }

  #resync(): void {
    for (const resync of this.#resyncs) this.#guard(resync, 'resync');
  }

  #receive(message: Buffer): void {
    const parts = unframe(message);
    const kind = parts?.shift();
    if (kind === PROOF) {
      this.#hear(parts);
      return;
    }
    const handler = kind === undefined ? undefined : this.#handlers.get(kind);
    if (parts === undefined || handler === undefined) return;
    try {
      handler(parts);
    } catch (error) {
      this.#options.onError(error, `message ${String(kind)}`);
    }
  }

  #hear([number, count]: string[] = []): void {
    const counter = this.#need?.counter;
    if (!this.#proof.hear(number) || counter === undefined || count === undefined) return;
    this.#guard(() => {
      counter.heard(count);
    }, PROOF);
  }

  #guard(work: () => void, what: string): void {
    try {
      work();
    } catch (error) {
      this.#options.onError(error, what);
    }
  }
}
