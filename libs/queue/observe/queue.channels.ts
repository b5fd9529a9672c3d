import { channel } from 'node:diagnostics_channel';
import type { UnknownUse } from '../../redis/index.js';

/** On `sluice:queue:published`: Redis has the task. */
export interface TaskPublishedMessage {
  readonly queue: string;
  readonly id: string;
  /** After how many milliseconds the task runs, at the earliest; 0: at once. */
  readonly delayMs: number;
  /** When the task runs, at the earliest, if the publish said so. */
  readonly runAt?: Date;
}

/** On `sluice:queue:started`: the task's handler is about to be called. */
export interface TaskStartedMessage {
  readonly queue: string;
  readonly group: string;
  readonly id: string;
  readonly attempt: number;
  readonly deliveries: number;
}

/** On `sluice:queue:completed`: the task's handler has returned, and the acknowledgement is on the way. */
export interface TaskCompletedMessage extends TaskStartedMessage {
  /** How long the handler ran, in milliseconds. */
  readonly ranMs: number;
}

/** On `sluice:queue:failed`: the task's handler has thrown. A message about the settlement follows, once Redis has it. */
export interface TaskFailedMessage extends TaskCompletedMessage {
  readonly error: unknown;
}

/** On `sluice:queue:retried`: the task will run again. */
export interface TaskRetriedMessage {
  readonly queue: string;
  readonly group: string;
  readonly id: string;
  /** In how many milliseconds at the earliest; 0: at once. */
  readonly delayMs: number;
}

/** On `sluice:queue:dead-lettered`: the task became a dead letter. */
export interface TaskDeadLetteredMessage {
  readonly queue: string;
  readonly group: string;
  readonly id: string;
  readonly reason: string;
}

/**
 * On `sluice:queue:cancelled`: a task that a worker had was dropped, because it was cancelled. A task that waited is removed by
 * `cancel` itself, and is not told.
 */
export interface TaskCancelledMessage {
  readonly queue: string;
  readonly group: string;
  readonly id: string;
}

/** On `sluice:queue:group-unread`: a group has tasks, and no consumer for a while. Each process that reads the queue says so. */
export interface GroupUnreadMessage {
  readonly queue: string;
  readonly group: string;
  /** Tasks that the group has not begun, counted to at most 10 000. */
  readonly waiting: number;
  /** Tasks that the group has begun and not finished. */
  readonly running: number;
}

/** On `sluice:queue:group-read`: such a group is read again, is done, or was dropped. */
export interface GroupReadMessage {
  readonly queue: string;
  readonly group: string;
  /** For how many milliseconds the group was unread. */
  readonly lastedMs: number;
}

/**
 * On `sluice:queue:newer-data`: this process leaves the queue alone, because a newer release of this package keeps data there
 * that this release does not know.
 */
export interface NewerDataMessage {
  readonly queue: string;
  readonly group: string;
  /** What is not known. */
  readonly uses: readonly UnknownUse[];
}

/** On `sluice:queue:newer-data-over`: the data of the newer release is gone, and this process works on the queue again. */
export interface NewerDataOverMessage {
  readonly queue: string;
  readonly group: string;
  /** For how many milliseconds this process left the queue alone. */
  readonly lastedMs: number;
}

/** On `sluice:queue:reaped`: this process has taken over tasks that dead processes had, or that stopping processes returned. */
export interface TasksReapedMessage {
  readonly queue: string;
  readonly group: string;
  /** How many tasks. */
  readonly count: number;
}

/** The message of each channel. */
export interface QueueMessages {
  'sluice:queue:published': TaskPublishedMessage;
  'sluice:queue:started': TaskStartedMessage;
  'sluice:queue:completed': TaskCompletedMessage;
  'sluice:queue:failed': TaskFailedMessage;
  'sluice:queue:retried': TaskRetriedMessage;
  'sluice:queue:dead-lettered': TaskDeadLetteredMessage;
  'sluice:queue:cancelled': TaskCancelledMessage;
  'sluice:queue:reaped': TasksReapedMessage;
  'sluice:queue:group-unread': GroupUnreadMessage;
  'sluice:queue:group-read': GroupReadMessage;
  'sluice:queue:newer-data': NewerDataMessage;
  'sluice:queue:newer-data-over': NewerDataOverMessage;
}

/**
 * The names of the `node:diagnostics_channel` channels of queues. A message is published in the process where the event happens,
 * and is created only while the channel has a subscriber.
 *
 * Subscribers run at once, inside the worker's own code: keep them short. An error that a subscriber throws becomes an uncaught
 * exception, as with every channel of Node; the queue does not notice it.
 *
 * @example
 * subscribeSluice(QUEUE_CHANNELS.deadLettered, ({ queue, id, reason }) => alert(`${queue}: ${id}: ${reason}`));
 */
export const QUEUE_CHANNELS = {
  published: 'sluice:queue:published',
  started: 'sluice:queue:started',
  completed: 'sluice:queue:completed',
  failed: 'sluice:queue:failed',
  retried: 'sluice:queue:retried',
  deadLettered: 'sluice:queue:dead-lettered',
  cancelled: 'sluice:queue:cancelled',
  reaped: 'sluice:queue:reaped',
  groupUnread: 'sluice:queue:group-unread',
  groupRead: 'sluice:queue:group-read',
  newerData: 'sluice:queue:newer-data',
  newerDataOver: 'sluice:queue:newer-data-over',
} as const satisfies Record<string, keyof QueueMessages>;

/** The channel objects: with them, publishing needs no look-up by name. */
export const channels = {
  published: channel(QUEUE_CHANNELS.published),
  started: channel(QUEUE_CHANNELS.started),
  completed: channel(QUEUE_CHANNELS.completed),
  failed: channel(QUEUE_CHANNELS.failed),
  retried: channel(QUEUE_CHANNELS.retried),
  deadLettered: channel(QUEUE_CHANNELS.deadLettered),
  cancelled: channel(QUEUE_CHANNELS.cancelled),
  reaped: channel(QUEUE_CHANNELS.reaped),
  groupUnread: channel(QUEUE_CHANNELS.groupUnread),
  groupRead: channel(QUEUE_CHANNELS.groupRead),
  newerData: channel(QUEUE_CHANNELS.newerData),
  newerDataOver: channel(QUEUE_CHANNELS.newerDataOver),
};
