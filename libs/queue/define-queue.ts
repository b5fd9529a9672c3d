import { checkName } from '../redis/index.js';

declare const PAYLOAD: unique symbol;

/** A queue's name together with the type of its payloads. Made by {@link defineQueue}. */
export interface QueueDefinition<T> {
  readonly name: string;
  /** Carries the type only; never present. */
  readonly [PAYLOAD]?: T;
}

/** A queue, or the bare name of its stream. */
export type QueueRef<T> = QueueDefinition<T> | string;

/**
 * Names a queue once, with the type of its payloads, for those who publish and those who handle.
 *
 * The name is that of its Redis stream (behind the namespace). Any non-empty name will do; braces only as one hash tag.
 *
 * @throws SluiceError `SLUICE_BAD_NAME`
 * @example
 * export const Orders = defineQueue<Order>('orders');
 * await queue.publish(Orders, order);
 */
export function defineQueue<T>(name: string): QueueDefinition<T> {
  return Object.freeze({ name: checkName('queue', name) });
}

/** The name behind a reference; whatever it is, it is checked where it becomes a key. */
export function queueName(queue: unknown): unknown {
  return typeof queue === 'object' && queue !== null && 'name' in queue ? queue.name : queue;
}
