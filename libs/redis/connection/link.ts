import type { Redis } from 'ioredis';
import type { ServerSlots } from '../cluster/server-slots.js';
import type { Clock } from '../time/clock.js';
import type { BootHold } from './boot-hold.js';
import { commandOf, type CommandArg, type EncodedCommand } from './encoded-command.js';
import { ignoreFurtherErrors } from '../access/connect-hooks.js';
import { HandshakeGuard } from './handshake-guard.js';
import { InFlight } from './in-flight.js';
import { RedisUnavailableError, refusedError, type RedisOutcome, type RedisRefusal } from '../redis.errors.js';
import { tellLate } from './late-reply.js';
import { LookupRetry } from './lookup-retry.js';
import { cleanError, hintOf, isDenied, isServerError, refusalOf, replyText } from './server-errors.js';
import { StalledSocketGuard } from './stalled-socket-guard.js';

export interface SendOptions {
  /** Milliseconds until the command rejects if no reply came. Default: the connection's `commandTimeoutMs`. */
  deadlineMs?: number;
  /**
   * `deadlineMs` counts from the last byte that the server sent: while it answers something, the reply is on its way. A command
   * then waits `commandTimeoutMs` at most. Default false: it counts from the sending.
   */
  whileSilent?: boolean;
  /** Replies as Buffers instead of strings. Default false. */
  buffers?: boolean;
  /** Converts the reply into the result of the call. Default: the reply as it is. */
  decode?: (reply: unknown) => unknown;
  /** The server does not know the script: answers what the call resolves to all the same. Nothing ran. */
  unknownScript?: (sent: Sent) => unknown;
  /** The name of the command in errors. Default: the command itself. */
  title?: string;
  /** True if the caller reports a refusal by the server itself. Default false. */
  quiet?: boolean;
  /** Sent whether it is needed or not: it does not keep alive a process whose app has not booted. Default false. */
  background?: boolean;
  /** Gets a reply that came after the deadline, unconverted. The caller can then give back what was granted. */
  late?: (reply: unknown) => void;
}

/** A command that was sent, for a caller that has to send another one instead. */
export interface Sent {
  readonly link: Link;
  readonly args: readonly CommandArg[];
  readonly options: SendOptions;
}

export interface LinkOptions {
  /** For messages: `'default' commands`. */
  label: string;
  clock: Clock;
  commandTimeoutMs: number;
  /** False for a client that belongs to the user: used, never closed. */
  owned: boolean;
  /** The socket is given up when nothing came on it for so long although something was due. Default: never. */
  silenceMs?: number | undefined;
  /** Is told of each command until the app has booted. */
  bootHold?: BootHold | undefined;
  slots: ServerSlots;
  /** Called when the server refused a command for the moment. */
  onRefused: (refusal: RedisRefusal, reply: string, command: string) => void;
}

/** How much longer than its limit a command may wait for its reply, in milliseconds. */
const WAIT_STEP_MS = 5;

/** How many commands one write holds. More of them make a system call no cheaper per command. */
const CORKED = 128;

/**
 * One client, and the promise that ioredis does not make: **every command settles**.
 *
 * A command rejects at once while the connection is down (nothing queues up to run late), when its deadline
 * passes, and when its socket dies before the reply. Nothing is resent: a caller that may repeat a command
 * repeats it itself. Commands sent in one turn of the event loop leave in one write, in several if there are thousands; one
 * that is sent while nothing is under way leaves at once.
 */
export class Link {
  readonly client: Redis;
  readonly slots: ServerSlots;
  readonly #options: LinkOptions;
  readonly #inFlight: InFlight;
  readonly #upListeners = new Set<() => void>();
  readonly #downListeners = new Set<(reason: string) => void>();
  readonly #detach: () => void;
  readonly #guard: StalledSocketGuard | undefined;
  readonly #lookup: LookupRetry | undefined;
  #bootHold: BootHold | undefined;
  #lastError: Error | undefined;
  /** Until the first attempt to connect has ended, well or not. */
  #trying: Promise<void> | undefined;
  /** How many commands the corked socket holds; 0: it is not corked. */
  #corked = 0;
  #closing: Promise<void> | undefined;
  #unusable: string | undefined;
  /** When the server last sent something. */
  #heardAtMs = -Infinity;

  constructor(client: Redis, options: LinkOptions) {
    this.client = client;
    this.slots = options.slots;
    this.#options = options;
    this.#inFlight = new InFlight(options.clock);
    this.#bootHold = options.bootHold;
    let tried = (): void => {};
    if (client.status !== 'ready') {
      this.#trying = new Promise<void>((resolve) => {
        tried = () => {
          this.#trying = undefined;
          resolve();
        };
      });
    }
    const onError = (error: Error): void => {
      this.#lastError = cleanError(error);
      if (!options.owned) ignoreFurtherErrors(client);
    };
    let wasUp = client.status === 'ready';
    const onClose = (): void => {
      tried();
      this.#inFlight.failAll();
      // A failed attempt to reconnect closes a socket as well, which is no news.
      if (!wasUp) return;
      wasUp = false;
      for (const listener of this.#downListeners) listener(this.#lastError?.message ?? 'its socket closed');
    };
    const onReady = (): void => {
      wasUp = true;
      tried();
      // An earlier error does not explain a later one, and the address may lead to another server now.
      this.#lastError = this.#unusable = undefined;
      for (const listener of this.#upListeners) listener();
    };
    // Each command that waits for the first connection listens; Node takes more than ten for a leak.
    if (options.owned) client.setMaxListeners(0);
    client.on('error', onError).on('close', onClose).on('ready', onReady);
    const { silenceMs } = options;
    const guard = (this.#guard =
      silenceMs === undefined
        ? undefined
        : new StalledSocketGuard(client, options.clock, {
            silenceMs: () => silenceMs,
            isDue: () => !this.#inFlight.isEmpty,
            what: 'while answers were due',
          }));
    const handshake = options.owned ? new HandshakeGuard(client, options.clock) : undefined;
    this.#lookup = options.owned ? new LookupRetry(client) : undefined;
    const onData = (): void => {
      this.#heardAtMs = options.clock.monoMs();
    };
    let heard: Redis['stream'] | undefined;
    const hear = (): void => {
      heard = client.stream.on('data', onData);
    };
    client.on('connect', hear);
    if (wasUp || client.status === 'connect') hear();
    this.#detach = () => {
      heard?.off('data', onData);
      client.off('close', onClose).off('ready', onReady).off('connect', hear);
      guard?.stop();
      handshake?.stop();
      this.#lookup?.stop();
      // The error listener stays on our own client, because a socket may still report an error while it closes.
      if (!options.owned) client.off('error', onError);
    };
  }

  /** A socket that is closing takes no commands, though ioredis still calls it ready: it would keep them for the next. */
  get up(): boolean {
    return this.client.status === 'ready' && this.client.stream.writable && this.#unusable === undefined;
  }

  /** The deadline of commands that name none, in milliseconds. */
  get commandTimeoutMs(): number {
    return this.#options.commandTimeoutMs;
  }

  /** Why the last attempt to connect failed, if any did. */
  get lastError(): Error | undefined {
    return this.#lastError;
  }

  /** Called on every (re)connect, once commands can be sent. */
  onUp(listener: () => void): void {
    this.#upListeners.add(listener);
  }

  /** Called whenever the socket dies, with why, after what was in flight has been rejected. */
  onDown(listener: (reason: string) => void): void {
    this.#downListeners.add(listener);
  }

  /**
   * Sends one command. The replies to an {@link EncodedCommand}, which has its arguments, are strings.
   *
   * @throws RedisUnavailableError when no reply came or the server refused for the moment, with what is known about the outcome
   * @throws RedisRefusedError when the server refused for good
   */
  send<T>(command: string | EncodedCommand, args: readonly CommandArg[] = [], options: SendOptions = {}): Promise<T> {
    const { deadlineMs = this.#options.commandTimeoutMs, title = String(command) } = options;
    if (this.#closing) return Promise.reject(this.#unavailable('is closed', 'not-sent'));
    if (!this.up) {
      if (!this.#trying) return Promise.reject(this.#unavailable(this.#unusable ?? 'is not connected', 'not-sent'));
      // Before the app was initialised, commands wait for the first connection.
      return Promise.race([this.waitUntilUp(deadlineMs), this.#trying]).then(() => {
        this.#trying = undefined;
        return this.send<T>(command, args, options);
      });
    }
    if (this.#bootHold !== undefined && options.background !== true) this.#noteUse(this.#bootHold);
    const sent = commandOf(command, args, options.buffers === true);
    // A client of the user's sends again what a dead socket left unanswered. Not what stands at an impossible place
    // of a pipeline: that it rejects when the socket closes.
    sent.pipelineIndex = -1;
    this.#cork();
    this.client.sendCommand(sent);
    this.#guard?.watch();
    const sentAtMs = options.whileSilent === true ? this.#options.clock.monoMs() : undefined;
    const settle = this.#inFlight.add(deadlineMs, (why) => {
      if (why === 'deadline') {
        const moreMs = sentAtMs === undefined ? 0 : this.#waitsOn(sentAtMs, deadlineMs);
        if (moreMs > 0) return moreMs;
        this.#guard?.missed();
      }
      const what = why === 'closed' ? 'lost its socket' : `gave no reply within ${Math.round(deadlineMs)} ms`;
      sent.reject(this.#unavailable(`${what} during ${title}`, 'unknown'));
      return undefined;
    });
    if (options.late !== undefined) tellLate(sent, settle, options.late);
    const { decode } = options;
    return (sent.promise as Promise<T>).then(
      (reply) => {
        settle();
        return decode === undefined ? reply : (decode(reply) as T);
      },
      (reason: unknown) => {
        settle();
        // ioredis rejects with an Error only.
        const error = reason as Error;
        if (options.unknownScript !== undefined && error.message.startsWith('NOSCRIPT'))
          return options.unknownScript({ link: this, args, options }) as T;
        throw this.#translate(error, title, options.quiet);
      },
    );
  }

  /** Waits until commands can be sent. False when `timeoutMs` passed first, or the server refused the credentials. */
  waitUntilUp(timeoutMs: number): Promise<boolean> {
    if (this.up) return Promise.resolve(true);
    return new Promise((resolve) => {
      const settle = (result: boolean) => (): void => {
        cancel();
        this.client.off('ready', up).off('end', ended).off('error', failed);
        resolve(result);
      };
      const up = settle(true);
      const fail = settle(false);
      const ended = (): void => {
        if (this.#lookup?.isDue !== true) fail();
      };
      const failed = (error: Error): void => {
        if (isDenied(error)) fail();
      };
      const cancel = this.#options.clock.timer(timeoutMs, fail);
      this.client.once('ready', up).on('end', ended).on('error', failed);
      // A `lazyConnect` client connects on demand. The error event carries why it could not.
      if (this.client.status === 'wait') this.client.connect().catch(() => {});
    });
  }

  refuse(why: string): void {
    this.#unusable = why;
  }

  /** Drops the socket; ioredis connects anew. */
  reset(): void {
    this.client.disconnect(true);
  }

  /** Rejects what is in flight and, if the client is ours, closes it: resolves when its socket is gone. */
  close(): Promise<void> {
    return (this.#closing ??= this.#end());
  }

  async #end(): Promise<void> {
    this.#detach();
    this.#inFlight.close();
    if (!this.#options.owned) return;
    // Between two attempts to connect there is no socket whose end would be reported.
    const ended = ['reconnecting', 'wait', 'end'].includes(this.client.status)
      ? Promise.resolve()
      : new Promise<void>((resolve) => this.client.once('end', resolve));
    this.client.disconnect();
    await ended;
  }

  /**
   * While something is under way, holds the socket's writes until this turn of the event loop ends, so that what it sends
   * leaves in one system call. `nextTick` runs once the promise jobs of the turn are done, so nothing waits for I/O or a timer.
   * Of thousands in one turn, the first leave while the rest is being encoded: the server works on them, and nothing piles up
   * here. Alone, a command leaves at once: the server is being woken while this process goes on.
   */
  #cork(): void {
    const { stream } = this.client;
    if (this.#corked === 0) {
      if (this.#inFlight.isEmpty) return;
      stream.cork();
      process.nextTick(() => {
        this.#corked = 0;
        stream.uncork();
      });
    } else if (this.#corked % CORKED === 0 && stream.writableCorked > 0) {
      stream.uncork();
      stream.cork();
    }
    this.#corked++;
  }

  #noteUse(hold: BootHold): void {
    if (hold.isOver) this.#bootHold = undefined;
    else hold.used();
  }

  /** All errors that leave this class are Sluice errors. None contains the arguments of the command. */
  #translate(error: Error, title: string, quiet = false): Error {
    if (error instanceof RedisUnavailableError) return error;
    if (!isServerError(error)) {
      const cause = cleanError(error);
      return this.#unavailable(`failed during ${title}: ${cause.message}`, 'unknown', cause);
    }
    const reply = replyText(error);
    const message = `Redis connection ${this.#options.label} refused ${title}: ${reply}${hintOf(reply)}`;
    const passing = refusalOf(reply);
    if (passing === undefined) return refusedError(message, reply);
    if (!quiet) this.#options.onRefused(passing.refusal, reply, title);
    return new RedisUnavailableError(message, passing.outcome, { refusal: passing.refusal });
  }

  /** For how much longer a command waits, because the server has sent something since. */
  #waitsOn(sentAtMs: number, silenceMs: number): number {
    const now = this.#options.clock.monoMs();
    const silentSinceMs = Math.max(sentAtMs, this.#heardAtMs);
    const leftMs = Math.min(silentSinceMs + silenceMs, sentAtMs + this.#options.commandTimeoutMs) - now;
    // In steps: commands of one deadline share a queue.
    return leftMs <= 0 ? 0 : Math.ceil(leftMs / WAIT_STEP_MS) * WAIT_STEP_MS;
  }

  #unavailable(what: string, outcome: RedisOutcome, cause: unknown = this.#lastError): RedisUnavailableError {
    return new RedisUnavailableError(`Redis connection ${this.#options.label} ${what}`, outcome, { cause });
  }
}
