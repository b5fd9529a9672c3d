import { channel } from 'node:diagnostics_channel';
import type { RedisRefusal } from '../redis.errors.js';

/** The part that all messages about a connection have. */
export interface RedisMessage {
  /** The connection's name: `default`, or a key of `redis.connections`. */
  readonly connection: string;
}

/** On `sluice:redis:lost`: a socket of the connection closed, or could not be opened at boot. It is being connected again. */
export interface RedisLostMessage extends RedisMessage {
  /** The reason as far as it is known, without credentials. */
  readonly reason: string;
}

/** On `sluice:redis:restored`: all sockets of the connection are up again. */
export interface RedisRestoredMessage extends RedisMessage {
  /** For how long the sockets were not all up, in milliseconds. */
  readonly downMs: number;
}

/** On `sluice:redis:refusing`: the server has begun to refuse commands for the moment. */
export interface RedisRefusingMessage extends RedisMessage {
  readonly refusal: RedisRefusal;
  /** The server's words. */
  readonly reply: string;
  /** The command that was refused first: its name, or `script` and the script's name. */
  readonly command: string;
}

/** On `sluice:redis:accepting`: the server has refused nothing for a while. */
export interface RedisAcceptingMessage extends RedisMessage {
  /** From the first refusal to the last one, in milliseconds. */
  readonly refusedMs: number;
  /** How many commands were refused. */
  readonly refused: number;
}

/** The type of the message on each channel. */
export interface RedisMessages {
  'sluice:redis:lost': RedisLostMessage;
  'sluice:redis:restored': RedisRestoredMessage;
  'sluice:redis:refusing': RedisRefusingMessage;
  'sluice:redis:accepting': RedisAcceptingMessage;
}

/**
 * The names of the channels on which connections report their changes through `node:diagnostics_channel`, in their own process.
 * Each change is one message and one line of the log.
 *
 * | channel                  | message               | when                                                              |
 * | ------------------------ | --------------------- | ----------------------------------------------------------------- |
 * | `sluice:redis:lost`      | RedisLostMessage      | a connection was lost, or could not be opened at boot             |
 * | `sluice:redis:restored`  | RedisRestoredMessage  | it is back                                                        |
 * | `sluice:redis:refusing`  | RedisRefusingMessage  | the server began to refuse (`LOADING`, `READONLY`, `OOM`, …)      |
 * | `sluice:redis:accepting` | RedisAcceptingMessage | the server refused nothing for 5 seconds                          |
 */
export const REDIS_CHANNELS = {
  lost: 'sluice:redis:lost',
  restored: 'sluice:redis:restored',
  refusing: 'sluice:redis:refusing',
  accepting: 'sluice:redis:accepting',
} as const satisfies Record<string, keyof RedisMessages>;

/** The channels themselves: code that holds a channel saves the look-up by name. */
export const channels = {
  lost: channel(REDIS_CHANNELS.lost),
  restored: channel(REDIS_CHANNELS.restored),
  refusing: channel(REDIS_CHANNELS.refusing),
  accepting: channel(REDIS_CHANNELS.accepting),
};
