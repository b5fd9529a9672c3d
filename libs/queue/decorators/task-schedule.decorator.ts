import { SluiceError, noteServedMethod, servedMethods, type ServedMethod } from '../../weave/index.js';
import { QUEUE_SERVICE } from '../queue.tokens.js';
import type { ScheduleOptions, ScheduleSpec } from '../schedules/schedule.js';
import type { Task } from '../task/task.js';

/** The options of {@link TaskSchedule}. */
export interface TaskScheduleOptions<P> extends ScheduleOptions {
  /** The payload of each task. It must be JSON, as for `publish`, and pass the queue's schema. Default `null`. */
  payload?: P;
}

/** A decorator of methods that handle `Task<T>`, one at a time or in batches. */
export type TaskScheduleDecorator<T> = <
  M extends ((task: Task<T>) => unknown) | ((tasks: readonly Task<T>[]) => unknown),
>(
  target: object,
  key: string | symbol,
  descriptor: TypedPropertyDescriptor<M>,
) => void;

/** One use of {@link TaskSchedule}. */
export interface DeclaredSchedule extends ServedMethod {
  readonly scheduleId: unknown;
  readonly spec: unknown;
  readonly options: TaskScheduleOptions<unknown> | undefined;
}

/** A literal payload, as a handler may name its type: `readonly ['a']` may be passed where `string[]` is wanted. */
export type Writable<T> = T extends object ? { -readonly [K in keyof T]: Writable<T[K]> } : T;

/**
 * Publishes a task for the handler at the instants of a schedule, in the whole fleet once per instant. The method must be a
 * `@TaskHandler` as well.
 *
 * The schedule is stored in Redis by the processes that work on the queue. **Exactly one task is published per instant**,
 * whichever process publishes it and whichever dies, as durably as Redis keeps it. Its id is `<id>@<instant in milliseconds>`.
 * As every task, it runs at least once. A method may have several schedules. If several groups read the queue, each gets the task.
 *
 * After a deploy that changes a schedule, the new one stands: it replaces the one of a process that is dead or started earlier.
 *
 * @param spec a cron expression of five fields, or six with seconds first; or `{ everyMs }`, from 1 000
 * @throws SluiceError at boot: `SLUICE_BAD_OPTION`, which names the field; `SLUICE_BAD_DECORATION`, `SLUICE_DUPLICATE_SCHEDULE`
 * @example
 * @TaskHandler(Reports)
 * @TaskSchedule('daily-report', '0 3 * * *', { timeZone: 'Europe/Berlin', payload: { kind: 'daily' } })
 * async report(task: Task<Report>): Promise<void> {}
 */
export function TaskSchedule<const P = null>(
  id: string,
  spec: ScheduleSpec,
  options?: TaskScheduleOptions<P>,
): TaskScheduleDecorator<Writable<P>> {
  const decorator = `@TaskSchedule('${id}')`;
  return (target: object, key: string | symbol, descriptor: PropertyDescriptor | undefined) => {
    if (typeof key === 'object' || typeof target === 'function' || typeof descriptor?.value !== 'function') {
      throw new SluiceError(
        'SLUICE_BAD_DECORATION',
        `${decorator} on ${String(key)}: it decorates methods of a provider's objects, with TypeScript's experimentalDecorators`,
      );
    }
    const declared: DeclaredSchedule = {
      ...{ key, decorator, token: QUEUE_SERVICE, scheduleId: id, spec, options },
      providedBy: "SluiceModule with 'queue' among its features, or SluiceQueueModule",
    };
    noteServedMethod(target, declared);
  };
}

/** The schedules that a prototype declares or inherits. The declarations of a subclass for a method replace the inherited ones. */
export function declaredSchedules(prototype: object | null): readonly DeclaredSchedule[] {
  return servedMethods(prototype).filter((method): method is DeclaredSchedule => 'scheduleId' in method);
}
