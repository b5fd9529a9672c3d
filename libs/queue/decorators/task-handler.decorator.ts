import type { Observable } from 'rxjs';
import { checkName } from '../../redis/index.js';
import { SluiceError, noteServedMethod, servedMethods, type ServedMethod } from '../../weave/index.js';
import { asQueueOfTasks, definitionsOf, type QueueOfTasks, type TaskSpecs } from '../named-tasks.js';
import type { TaskOf } from '../task/task-of.js';
import { queueName, type QueueDefinition } from '../queue-definition.js';
import type { BatchHandlerOptions, HandlerOptions } from '../handler.options.js';
import { QUEUE_SERVICE } from '../queue.tokens.js';
import type { Task } from '../task/task.js';

/** One use of {@link TaskHandler}. */
export interface DeclaredHandler extends ServedMethod {
  /** The queue's name, for messages. */
  readonly queue: string;
  /** What it handles: one queue, or all named tasks of one. */
  readonly queues: readonly QueueDefinition<unknown>[];
  /** Whether it handles all named tasks of a queue. Then `concurrency` is for all of them together. */
  readonly isWhole: boolean;
  readonly options: HandlerOptions | BatchHandlerOptions | undefined;
}

/**
 * What a handler may return if the results of its queue have the type `R`: it, or what ends with it. Of an Observable or an async
 * iterable, the last value is the result.
 */
export type HandlerResult<R> = unknown extends R ? unknown : OneResult<R> | Promise<OneResult<R>>;

type OneResult<R> = R | Observable<R> | AsyncIterable<R>;

/** A decorator of methods that can be called with a `Task<T>`, and whose result has the type `R`. */
export type TaskHandlerDecorator<T, R = unknown> = <M extends (task: Task<T>) => HandlerResult<R>>(
  target: object,
  key: string | symbol,
  descriptor: TypedPropertyDescriptor<M>,
) => void;

/** A decorator of methods that can be called with every task of a queue of named tasks. */
export type TasksHandlerDecorator<T> = <M extends (task: T) => unknown>(
  target: object,
  key: string | symbol,
  descriptor: TypedPropertyDescriptor<M>,
) => void;

/** A decorator of methods that can be called with a batch of `Task<T>`. */
export type BatchHandlerDecorator<T> = <M extends (tasks: readonly Task<T>[]) => unknown>(
  target: object,
  key: string | symbol,
  descriptor: TypedPropertyDescriptor<M>,
) => void;

/** A decorator of methods that can be called with a batch of tasks of one name, whichever name of a queue that is. */
export type BatchesHandlerDecorator<T> = <M extends (tasks: readonly T[]) => unknown>(
  target: object,
  key: string | symbol,
  descriptor: TypedPropertyDescriptor<M>,
) => void;

/**
 * Makes a method of a provider or controller the handler of a queue.
 *
 * **At least once**: every task runs until the method returns (or its promise resolves), or becomes a dead letter after
 * `maxAttempts` runs that threw. What it returns is the result of the task, for `publishAndWait`; if the queue names a type of results,
 * the method must return it. A task may run twice if a process dies, or is presumed dead, while it has the task.
 * Work starts once the app has booted. It ends, gracefully, before the modules on which the handler depends are destroyed.
 *
 * The decorator only sets metadata: the method itself does not change, and other decorators may be above and below. An override
 * in a subclass replaces the handler. There is one handler per queue, group and process. The provider must not be transient; a
 * request-scoped provider has one object per task.
 *
 * Of a queue with named tasks, a method handles one name (`Files.tasks.import`) or all of them (`Files`). In the second case it gets
 * a {@link TaskOf}, and `concurrency` is for all names together.
 *
 * With `batch: { max, waitMs }` the method gets several tasks at once, all of one name, as an array that is never empty.
 * `task.fail(error)` fails one of them; an error that the method throws fails all others. Attempts, delays and dead letters are for each
 * task.
 *
 * @throws SluiceError `SLUICE_BAD_DECORATION` if it decorates anything but an instance method, `SLUICE_BAD_NAME`
 * @example
 * @TaskHandler(Orders, { concurrency: 50 })
 * async process(task: Task<Order>): Promise<void> {}
 * @example
 * @TaskHandler(Documents, { batch: { max: 100, waitMs: 200 } })
 * async index(tasks: readonly Task<Document>[]): Promise<void> {}
 */
export function TaskHandler<T>(
  queue: QueueDefinition<unknown, T>,
  options: BatchHandlerOptions,
): BatchHandlerDecorator<T>;
export function TaskHandler(stream: string, options: BatchHandlerOptions): BatchHandlerDecorator<never>;
export function TaskHandler<Specs extends TaskSpecs>(
  queue: QueueOfTasks<Specs>,
  options: BatchHandlerOptions,
): BatchesHandlerDecorator<TaskOf<QueueOfTasks<Specs>>>;
export function TaskHandler<T, R>(
  queue: QueueDefinition<unknown, T, R, unknown>,
  options?: HandlerOptions,
): TaskHandlerDecorator<T, R>;
export function TaskHandler(stream: string, options?: HandlerOptions): TaskHandlerDecorator<never>;
export function TaskHandler<Specs extends TaskSpecs>(
  queue: QueueOfTasks<Specs>,
  options?: HandlerOptions,
): TasksHandlerDecorator<TaskOf<QueueOfTasks<Specs>>>;
export function TaskHandler(
  queue: QueueDefinition<unknown> | QueueOfTasks | string,
  options?: HandlerOptions | BatchHandlerOptions,
): TasksHandlerDecorator<never> & BatchHandlerDecorator<never> {
  const name = checkName('queue', queueName(queue));
  const whole = asQueueOfTasks(queue);
  const queues = whole
    ? definitionsOf(whole)
    : [typeof queue === 'string' ? { name } : (queue as QueueDefinition<unknown>)];
  return (target: object, key: string | symbol, descriptor: PropertyDescriptor | undefined) => {
    if (typeof key === 'object') {
      throw new SluiceError(
        'SLUICE_BAD_DECORATION',
        `@TaskHandler('${name}'): compile with TypeScript's experimentalDecorators, as Nest does`,
      );
    }
    if (typeof target === 'function' || typeof descriptor?.value !== 'function') {
      throw new SluiceError(
        'SLUICE_BAD_DECORATION',
        `@TaskHandler('${name}') on ${String(key)}: it decorates methods of a provider's objects, ` +
          'not static methods, properties or accessors',
      );
    }
    const declared: DeclaredHandler = {
      key,
      decorator: `@TaskHandler('${name}')`,
      token: QUEUE_SERVICE,
      providedBy: "SluiceModule with 'queue' among its features, or SluiceQueueModule",
      queue: name,
      queues,
      isWhole: whole !== undefined,
      options,
    };
    noteServedMethod(target, declared);
  };
}

/** The handlers that a prototype declares or inherits. The declaration of a subclass replaces the inherited one. */
export function declaredHandlers(prototype: object | null): readonly DeclaredHandler[] {
  return servedMethods(prototype).filter(
    (method): method is DeclaredHandler => method.token === QUEUE_SERVICE && 'queue' in method,
  );
}
