/**
 * Queues: `QueueService`, `@TaskHandler` and `defineQueue`. At least once: a published task runs to success, or becomes a
 * dead letter.
 *
 * - `decorators/` `@TaskHandler`, and the explorer that finds handlers
 * - `schedules/` instants of schedules, and their operations
 * - `task/` tasks, as handlers get them and as they are sent: payloads, schemas, traces, back-off
 * - `publish/` publishing
 * - `results/` waiting for the end of a task
 * - `events/` the progress of tasks, and what is told to whoever listens
 * - `notes/` what goes with the acknowledgement of a task
 * - `history/` records of tasks that have ended
 * - `limits/` how long a queue may be
 * - `ordering/` ordering keys
 * - `priority/` shares of the levels of priority, and whose turn it is
 * - `handlers/` the registry of handlers, and the call of a handler
 * - `worker/` running tasks; `worker/loops/` the background loops
 * - `admin/` counts, lists, dead letters, pause
 * - `store/` keys and scripts
 * - `observe/` channels and counters
 *
 * @see docs/internals/queue.md
 * @packageDocumentation
 */

export type { Backoff, ExponentialBackoff } from './task/backoff.js';
export { DeadLetterTask, DropTask, RetryTask, SnoozeTask, type DelayOptions } from './control-flow.js';
export { defineQueue, type DefineQueueOptions } from './define-queue.js';
export { payload, type QueueOfTasks, type TaskPayload, type TaskSpecs } from './named-tasks.js';
export type { TaskOf } from './task/task-of.js';
export type { DefinedQueue, NamedTask, QueueDefinition, QueueRef } from './queue-definition.js';
export type { AfterDeadLetter, OrderingOptions } from './ordering/ordering.options.js';
export type { HistoryOptions } from './history/history.options.js';
export type { HistoryPage, HistoryPageOptions } from './history/history-pages.js';
export type { FinishedState, FinishedTask } from './history/finished-task.js';
export type { LengthLimit } from './limits/length-limit.js';
export type { QueueOptions } from './limits/length-limits.js';
export type { PublishManyOptions, PublishOptions } from './publish/publish.options.js';
export type { WhenAllSettled } from './publish/when-settled.options.js';
export type { QueueEvent, QueueEventOfTask } from './events/queue-event.js';
export type { PublishAndWaitOptions } from './results/wait.options.js';
export type { CollectOptions, PublishUniqueOptions, UniquePublish } from './publish/unique.options.js';
export type { UniqueOutcome } from './store/scripts/publish-unique.script.js';
export {
  InvalidPayloadError,
  PayloadTooLargeError,
  PublishUnconfirmedError,
  QueueFullError,
  TaskAckRefusedError,
  TaskCancelledError,
  TaskFailedError,
  TaskResultError,
  TaskTimeoutError,
  TaskWaitTimeoutError,
  UnserializablePayloadError,
  type PayloadIssue,
  type FailedHow,
  type PublishOutcome,
  type TaskFailedParts,
} from './queue.errors.js';
export {
  QUEUE_CHANNELS,
  type QueueMessages,
  type GroupReadMessage,
  type NewerDataMessage,
  type NewerDataOverMessage,
  type GroupUnreadMessage,
  type TaskCancelledMessage,
  type TaskCompletedMessage,
  type TaskDeadLetteredMessage,
  type TaskFailedMessage,
  type TaskPublishedMessage,
  type TaskRetriedMessage,
  type TasksReapedMessage,
  type TaskStartedMessage,
} from './observe/queue.channels.js';
export type { QueueStats } from './observe/queue.stats.js';
export type { Shares } from './priority/shares.js';
export type { Priority } from './store/levels.js';
export { SluiceQueueModule } from './queue.module.js';
export type { ConcurrencyOptions, TaskRateLimit } from './limits/fleet.options.js';
export type { BatchHandlerOptions, ConfiguredHandlerOptions, HandlerOptions } from './handler.options.js';
export type { SluiceQueueModuleOptions } from './queue.options.js';
export { DeadLetters } from './admin/dead-letters.js';
export type {
  DeadLetterFilter,
  DeadLetterListOptions,
  DeadLetterPurgeOptions,
  RedriveOptions,
} from './admin/dead-letters.options.js';
export type { PauseResult } from './admin/pause-switch.js';
export type { PauseOptions, ResumeOptions } from './admin/pause.options.js';
export type { CancelOutcome } from './admin/task-search.js';
export type { PurgeState } from './admin/queue-purge.js';
export type { CountsOfTasks, DeadLettersOfTasks } from './admin/whole-queue.js';
export { QueueGroups, type QueueGroup } from './admin/queue-groups.js';
export type { GroupChoice, ListOptions, TaskPage } from './admin/queue.operations.js';
export type { Counts as QueueCounts } from './store/scripts/counts.script.js';
export type { DeadLetter, TaskInfo, TaskKey, TaskRef, TaskState } from './admin/task-info.js';
export type { QueueWorker } from './admin/worker-info.js';
export { RawQueue, type RawEntry } from './queue.raw.js';
export type { DeadRetention } from './admin/dead-retention.js';
export type { SchedulesOptions } from './schedules/orphans.options.js';
export { QueueService } from './queue.service.js';
export { QUEUE_SERVICE } from './queue.tokens.js';
export {
  TaskHandler,
  type BatchHandlerDecorator,
  type BatchesHandlerDecorator,
  type HandlerResult,
  type TaskHandlerDecorator,
  type TasksHandlerDecorator,
} from './decorators/task-handler.decorator.js';
export {
  TaskSchedule,
  type TaskScheduleDecorator,
  type TaskScheduleOptions,
} from './decorators/task-schedule.decorator.js';
export type { MissedInstants, ScheduleOptions, ScheduleSpec } from './schedules/schedule.js';
export { TaskSchedules, type ScheduleInfo } from './schedules/task-schedules.js';
export type { Propagation } from './task/propagation.js';
export type { TraceContext } from './task/trace-context.js';
export type { SchemaInput, SchemaOutput, StandardSchema } from './task/standard-schema.js';
export type { FailedTask } from './task/failed-task.js';
export type { SettledCounts, SettledTasks } from './task/settled-tasks.js';
export { BatchTask, type TaskFailure } from './task/batch-task.js';
export type { BatchOptions } from './task/batch.options.js';
export { Task, type TaskParts } from './task/task.js';
export type { AckValue, AckWrite } from './notes/ack-write.js';
export type { NextOptions, Noted, NotedTask } from './notes/task-notes.js';
