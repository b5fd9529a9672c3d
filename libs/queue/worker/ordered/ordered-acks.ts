import type { Link } from '../../../redis/index.js';
import type { OrderKeys } from '../admission/fleet-limits.js';
import type { RunRecords } from '../../history/run-records.js';
import type { QueueKeys } from '../../store/queue.keys.js';
import { ackKeyedScript, endedTasks, type EndedTask } from '../../store/scripts/ack-keyed.script.js';
import type { Entry } from '../../store/stream-reply.js';
import type { Delivery } from '../../task/delivery.js';
import { keyOf } from './key-of.js';
import type { KeptRoom } from './kept-room.js';

export interface OrderedAcksOptions {
  link: Link;
  keys: Pick<QueueKeys, 'stream' | 'index' | 'side' | 'alive' | 'uses'>;
  /** The group's own retries for the queue, and the queue for the retries. */
  other: string;
  order: OrderKeys;
  group: string;
  consumer: string;
  /** The prefix of the names of inboxes. */
  inboxes: string;
  records: Pick<RunRecords, 'keys' | 'completed'>;
  room: Pick<KeptRoom, 'reserve' | 'opened'>;
}

/** The result of a task, for the publisher that waits for it. */
export interface SentResult {
  readonly meta: string;
  readonly kind: string;
  readonly text: string;
}

/** Acknowledges tasks of an ordered queue. The next tasks of their keys come with the reply, if there is room for them here. */
export class OrderedAcks {
  readonly #options: OrderedAcksOptions;

  constructor(options: OrderedAcksOptions) {
    this.#options = options;
  }

  /** @param result of the only task of the batch */
  async send(batch: readonly Delivery[], result?: SentResult): Promise<void> {
    const { link, keys, other, order, group, consumer, inboxes, records, room } = this.#options;
    const { stream, index, side, alive, uses } = keys;
    const { meta = '', kind = '', text = '' } = result ?? {};
    const told = { side, inboxes, meta, kind, text };
    const { rest, ...tasks } = endedTasks(batch.map((each) => endedTask(order, each, records.completed(each))));
    const reserved = room.reserve(batch.length);
    let next: readonly Entry[] = [];
    try {
      const acked = await ackKeyedScript.run(link, {
        keys: {
          stream,
          other,
          index,
          alive,
          uses,
          gates: order.gates,
          line: order.line,
          history: records.keys.completed,
        },
        args: { group, consumer, opensMost: reserved, perKey: order.places, ...told, ...tasks },
        rest,
      });
      next = acked.opened;
    } finally {
      room.opened(next, reserved);
    }
  }
}

function endedTask(order: OrderKeys, delivery: Delivery, run: string): EndedTask {
  const { id, deliveries, taskId, join } = delivery;
  return { id, deliveries, taskId, key: keyOf(order, delivery), join, run };
}
