import { checkName } from '../redis/index.js';
import { badOption, optional, resolveOptions, type Check } from '../weave/index.js';
import { historyOption, type HistoryOptions } from './history/history.options.js';
import { lengthLimit, type LengthLimit, type ResolvedLengthLimit } from './limits/length-limit.js';
import { afterDeadLetter, keyFunction, ordering, type OrderingOptions } from './ordering/ordering.options.js';
import { defineTasks, withHistory, type QueueOfTasks, type TaskSpecs } from './named-tasks.js';
import { shares as sharesOption, type ResolvedShares, type Shares } from './priority/shares.js';
import { defined, type DefinedQueue, type QueueDefinition } from './queue-definition.js';
import { checkSchema, type SchemaInput, type SchemaOutput, type StandardSchema } from './task/standard-schema.js';

/** The options of {@link defineQueue}: `schema` for a queue of one kind of task, or `tasks` for a queue of named tasks. */
export interface DefineQueueOptions extends OrderingOptions<never> {
  /** A Standard Schema of the payloads. Default: none, payloads are not checked. */
  schema?: StandardSchema;
  /**
   * A Standard Schema of the results: handlers return its input, and `publishAndWait` resolves to its output. Default: none. A queue
   * without `schema` gets it from `defineQueue<Order>('orders').returning(result)`.
   */
  result?: StandardSchema;
  /** The named tasks of the queue. Default: none, the queue has one kind of task. */
  tasks?: TaskSpecs;
  /**
   * How many tasks publishers may put into the queue: `{ limit, onFull?, waitMs? }`. Default: any number. `queue.queues.<name>` in the
   * module's options changes single members of it.
   */
  maxLength?: LengthLimit;
  /**
   * Gives the queue levels of priority, `high`, `normal` and `low`, and says how many tasks of each start while all of them have tasks.
   * `true` is `{ high: 8, normal: 4, low: 1 }`. Default: none, and `publish` takes no `priority`. `queue.queues.<name>` in the module's
   * options changes single members of it.
   */
  shares?: Shares | true;
  /**
   * How many of the newest completed tasks, and of those that failed for good, `queue.history` shows: `{ completed?, failed? }`, each at
   * most 100 000. Of a queue of named tasks, each name keeps as many. `queue.queues.<name>` in the module's options changes single
   * members of it. Default: none, and nothing is written.
   */
  history?: HistoryOptions;
}

/**
 * Names a queue once, with the type of its payloads, for publishers and handlers.
 *
 * The name is that of the Redis stream (after the namespace). It may be any non-empty name; braces are allowed only as one hash
 * tag.
 *
 * With a `schema` (zod, valibot, arktype: any Standard Schema, also an asynchronous one) payloads are checked when they are
 * published: a publish of a bad payload rejects with `SLUICE_QUEUE_INVALID_PAYLOAD`. They are checked again before they are
 * handled, because there may be other producers. If that check fails, the task becomes a dead letter, `bad-payload`, and its
 * handler does not run. The value that was given to `publish` is sent, as JSON. The handler gets the schema's output for it.
 *
 * With `tasks`, the queue has several kinds of tasks, each with its own payload, stream and counts. `Files.tasks.import` goes
 * wherever a queue goes; `Files` means all of them. The stream of `import` is `{files}.import`. There is no order between names.
 *
 * `returning<Receipt>()` gives the results a type: handlers must return it, and `publishAndWait` resolves to it.
 *
 * With `maxLength`, a publish that would make the queue longer rejects with `SLUICE_QUEUE_FULL`, or waits until there is room.
 *
 * With `shares`, tasks can be published with a `priority`. Every process that publishes with one, or handles the queue, has to declare
 * them. `shares` goes with neither `tasks` nor `maxLength`.
 * With `orderingKey`, one task of a key runs at a time, in the order in which they were published.
 * With `history`, the newest tasks that have ended can be read with `queue.history`.
 *
 * @throws SluiceError `SLUICE_BAD_NAME`, `SLUICE_BAD_OPTION`
 * @example
 * export const Orders = defineQueue<Order>('orders');
 * export const Payments = defineQueue<Order>('payments').returning<Receipt>();
 * export const Imports = defineQueue<Row>('imports', { maxLength: { limit: 10_000, onFull: 'wait', waitMs: 30_000 } });
 * export const Alerts = defineQueue<Alert>('alerts', { shares: true });
 * export const Ledger = defineQueue<Booking>('ledger', { orderingKey: ({ account }) => account });
 * export const Exports = defineQueue<Export>('exports', { history: { completed: 1_000, failed: 1_000 } });
 * export const Mails = defineQueue('mails', { schema: z.object({ to: z.email(), at: z.iso.datetime() }) });
 * export const Files = defineQueue('files', { tasks: { import: payload<Import>(), export: { schema } } });
 * await queue.publish(Orders, order);
 * await queue.publish(Files.tasks.import, { url });
 */
export function defineQueue<const Specs extends TaskSpecs>(
  name: string,
  options: { tasks: Specs; history?: HistoryOptions },
): QueueOfTasks<Specs>;
export function defineQueue<S extends StandardSchema, R extends StandardSchema>(
  name: string,
  options: { schema: S; result: R; maxLength?: LengthLimit; history?: HistoryOptions } & OrderingOptions<
    SchemaInput<S>
  >,
): QueueDefinition<SchemaInput<S>, SchemaOutput<S>, SchemaInput<R>, SchemaOutput<R>>;
export function defineQueue<S extends StandardSchema>(
  name: string,
  options: { schema: S; maxLength?: LengthLimit; shares?: Shares | true; history?: HistoryOptions } & OrderingOptions<
    SchemaInput<S>
  >,
): DefinedQueue<SchemaInput<S>, SchemaOutput<S>>;
export function defineQueue<T>(
  name: string,
  options?: { maxLength?: LengthLimit; shares?: Shares | true; history?: HistoryOptions } & OrderingOptions<T>,
): DefinedQueue<T>;
export function defineQueue(name: string, options?: DefineQueueOptions): QueueDefinition<unknown> | QueueOfTasks {
  const checkedName = checkName('queue', name);
  const site = `defineQueue('${checkedName}')`;
  const { schema, result, tasks, maxLength, shares, history, ...order } = resolveOptions<ResolvedDefinition>(
    site,
    options,
    {
      schema: given(options, 'schema', checkSchema),
      result: given(options, 'result', checkSchema),
      tasks: given(options, 'tasks', (value, path) => defineTasks(checkedName, value, path)),
      maxLength: optional(lengthLimit),
      shares: optional(sharesOption),
      history: optional(historyOption),
      orderingKey: keyFunction,
      afterDeadLetter,
    },
  );
  const ordered = ordering(site, order);
  if (tasks === undefined) {
    if (shares && maxLength) {
      throw badOption(`${site}.shares`, 'left out beside maxLength, which does not count levels of priority', shares);
    }
    if (shares && ordered) {
      throw badOption(
        `${site}.shares`,
        'left out beside orderingKey: a level would break the order of its keys',
        shares,
      );
    }
    const limits = { ...(maxLength && { maxLength }), ...(shares && { shares }), ...(history && { history }) };
    const parts = { ...limits, ...(ordered && { ordering: Object.freeze(ordered) }) };
    return defined({ name: checkedName, ...(schema && { schema }), ...(result && { result }), ...parts });
  }
  if (schema !== undefined) throw badOption(`${site}.schema`, 'left out beside tasks: each task has its own', schema);
  if (result !== undefined) {
    throw badOption(
      `${site}.result`,
      'left out beside tasks: give it to one of them, tasks.<name>.returning(result)',
      result,
    );
  }
  if (shares !== undefined) {
    throw badOption(
      `${site}.shares`,
      'left out beside tasks: give urgent ones a name, or a queue of their own',
      shares,
    );
  }
  if (maxLength !== undefined) {
    const [first = '<name>'] = Object.keys(tasks);
    const wanted = `left out beside tasks, each of which has a length of its own: queue.queues['${checkedName}.${first}']`;
    throw badOption(`${site}.maxLength`, wanted, maxLength);
  }
  if (ordered !== undefined) {
    const wanted = 'left out beside tasks: define a queue of its own for the tasks that need an order';
    throw badOption(`${site}.orderingKey`, wanted, ordered.orderingKey);
  }
  return Object.freeze({ name: checkedName, tasks: history ? withHistory(tasks, history) : tasks });
}

interface ResolvedDefinition extends OrderingOptions<never> {
  schema?: StandardSchema;
  result?: StandardSchema;
  maxLength?: ResolvedLengthLimit;
  shares?: ResolvedShares;
  history?: HistoryOptions;
  tasks?: Record<string, DefinedQueue<unknown>>;
}

/** A member that is there without a value is refused: the variable that it names has no value yet, because of a circular import. */
function given<T>(options: object | undefined, name: string, check: Check<T>): Check<T | undefined> {
  return (value, path) => (Object.hasOwn(options ?? {}, name) ? check(value, path) : undefined);
}
