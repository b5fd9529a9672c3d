import type { Channel } from 'node:diagnostics_channel';
import { debugLog } from '../debug-log.js';
import type { RedisRefusal } from '../redis.errors.js';
import type { CancelTimer, Clock } from '../time/clock.js';
import { Transition } from '../transition.js';
import { channels } from './redis.channels.js';
import type {
  RedisAcceptingMessage,
  RedisLostMessage,
  RedisRefusingMessage,
  RedisRestoredMessage,
} from './redis.channels.js';

export interface ConnectionHealthOptions {
  /** The connection's name. */
  name: string;
  /** For the log: the name and the address, without credentials. */
  label: string;
  clock: Clock;
  warn: (message: string) => void;
  note: (message: string) => void;
}

interface Refused {
  readonly refusal: RedisRefusal;
  readonly reply: string;
  /** The name of the command, or `script` and the script's name. */
  readonly command: string;
}

/** The outages and refusals of one connection since the process started. */
export interface ConnectionStats {
  /** Whether its sockets are up. */
  readonly up: boolean;
  /** How often the connection was lost. */
  readonly lost: number;
  /** How many commands the server refused for the moment. */
  readonly refused: number;
}

/** A server that has refused nothing for this long, in milliseconds, counts as accepting commands again. */
const ACCEPTING_AFTER_MS = 5_000;

const debug = debugLog('redis');

/**
 * Reports what happens to one connection, once per change: a line in the log, a message on a channel, a count.
 *
 * Each refused command shows that the server refuses. But a single success does not show that the server accepts commands again,
 * because a server that is full still answers reads. A server counts as accepting when it has refused nothing for 5 seconds.
 */
export class ConnectionHealth {
  readonly #options: ConnectionHealthOptions;
  readonly #down: Transition<string>;
  readonly #refusing: Transition<Refused>;
  readonly #unheard: Transition;
  #refused = 0;
  #lastRefusalMs = 0;
  #cancel: CancelTimer | undefined;
  #closed = false;

  constructor(options: ConnectionHealthOptions) {
    this.#options = options;
    const { name, label, clock, warn, note } = options;
    this.#down = new Transition<string>({
      clock,
      began: (reason) => {
        warn(`Redis connection ${label} is down: ${reason}. It is being connected again`);
        publish(channels.lost, { connection: name, reason } satisfies RedisLostMessage);
      },
      ended: (downMs) => {
        note(`Redis connection ${label} is back after ${seconds(downMs)}`);
        publish(channels.restored, { connection: name, downMs } satisfies RedisRestoredMessage);
      },
    });
    this.#refusing = new Transition<Refused>({
      clock,
      began: ({ refusal, reply, command }) => {
        warn(`Redis connection ${label} refuses ${command} for now: ${reply}`);
        publish(channels.refusing, { connection: name, refusal, reply, command } satisfies RedisRefusingMessage);
      },
      ended: (lastedMs, refused) => {
        const refusedMs = Math.max(0, lastedMs - (clock.monoMs() - this.#lastRefusalMs));
        note(`Redis connection ${label} has stopped refusing: ${refused} commands in ${seconds(refusedMs)}`);
        publish(channels.accepting, { connection: name, refusedMs, refused } satisfies RedisAcceptingMessage);
      },
    });
    this.#unheard = new Transition({
      clock,
      began: () => {
        warn(
          `Redis connection ${label}: what this process publishes to itself does not arrive. Its messages are late, and it uses no ` +
            'local copies of cached values. Its commands and its subscription must lead to one primary',
        );
      },
      ended: (lastedMs) => {
        note(`Redis connection ${label}: messages arrive again, after ${seconds(lastedMs)}`);
      },
    });
  }

  get stats(): ConnectionStats {
    return { up: !this.#down.active, lost: this.#down.count, refused: this.#refused };
  }

  lost(reason: string): void {
    debug?.('%s lost: %s', this.#options.name, reason);
    if (!this.#closed) this.#down.begin(reason);
  }

  /** All its sockets are up. */
  restored(): void {
    debug?.('%s up', this.#options.name);
    if (!this.#closed) this.#down.end();
  }

  refused(refused: Refused): void {
    if (this.#closed) return;
    debug?.('%s refused %s: %s', this.#options.name, refused.command, refused.reply);
    this.#refused++;
    this.#lastRefusalMs = this.#options.clock.monoMs();
    this.#refusing.begin(refused);
    this.#cancel ??= this.#lookAfter(ACCEPTING_AFTER_MS);
  }

  /** Messages do not arrive, although the subscriber was connected anew. */
  unheard(): void {
    if (!this.#closed) this.#unheard.begin();
  }

  /** A message has arrived. */
  heard(): void {
    if (!this.#closed) this.#unheard.end();
  }

  /** The app shuts down: nothing is reported any more. */
  close(): void {
    this.#closed = true;
    this.#cancel?.();
    this.#cancel = undefined;
  }

  #lookAfter(ms: number): CancelTimer {
    return this.#options.clock.timer(ms, () => {
      this.#cancel = undefined;
      const quietMs = this.#options.clock.monoMs() - this.#lastRefusalMs;
      if (quietMs >= ACCEPTING_AFTER_MS) this.#refusing.end();
      else this.#cancel = this.#lookAfter(ACCEPTING_AFTER_MS - quietMs);
    });
  }
}

function publish(channel: Channel, message: object): void {
  if (channel.hasSubscribers) channel.publish(message);
}

function seconds(ms: number): string {
  return `${(ms / 1_000).toFixed(1)} s`;
}
