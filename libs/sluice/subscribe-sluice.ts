import { subscribe, unsubscribe, type ChannelListener } from 'node:diagnostics_channel';
import type { CacheMessages } from '../cache/index.js';
import type { LimitMessages } from '../limit/index.js';
import type { LockMessages } from '../lock/index.js';
import type { QueueMessages } from '../queue/index.js';
import type { RedisMessages } from '../redis/index.js';

/** The message of each `node:diagnostics_channel` channel of this package. */
export interface SluiceMessages extends LockMessages, CacheMessages, QueueMessages, LimitMessages, RedisMessages {}

export type SluiceChannel = keyof SluiceMessages;

/**
 * Subscribes to what happens in this process: locks that are lost, tasks that become dead letters, connections that are down.
 *
 * The same as `subscribe` of `node:diagnostics_channel`, with types. `onMessage` runs at once, inside the code that publishes the
 * message: keep it short. An error that it throws becomes an uncaught exception, as with every channel of Node. While a channel
 * has no subscriber, no message is created.
 *
 * @returns a function that ends the subscription; it may be called more than once
 *
 * @example
 * const unsubscribe = subscribeSluice('sluice:lock:lost', ({ name, reason }) => {
 *   logger.error(`lock ${name} was lost: ${reason}`);
 * });
 */
export function subscribeSluice<C extends SluiceChannel>(
  channel: C,
  onMessage: (message: SluiceMessages[C], channel: C) => void,
): () => void {
  const listener: ChannelListener = (message) => {
    onMessage(message as SluiceMessages[C], channel);
  };
  subscribe(channel, listener);
  return () => {
    unsubscribe(channel, listener);
  };
}
