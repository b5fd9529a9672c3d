import {
  badOption,
  count,
  durationMs,
  flag,
  optional,
  resolveOptions,
  text,
  type OptionChecks,
} from '../weave/index.js';
import {
  concurrency,
  fleetLimitsOf,
  perProcess,
  rateLimit,
  type ConcurrencyOptions,
  type ResolvedPerKey,
  type ResolvedRateLimit,
  type TaskRateLimit,
} from './limits/fleet.options.js';
import { oneQueue, namedIn, optionNames } from './named-tasks.js';
import { orderingOf, refuseOrdered, type ResolvedOrdering } from './ordering/ordering.options.js';
import type { QueueDefinition } from './queue-definition.js';
import { backoff, resolveBackoff, type Backoff, type ResolvedBackoff } from './task/backoff.js';
import {
  batchOf,
  batchOption,
  batchTuning,
  type DeclaredBatch,
  type ResolvedBatch,
  type TunedBatch,
  type WithBatch,
} from './task/batch.options.js';
import type { FailedTask } from './task/failed-task.js';

/** The options of one handler. Set them in `@TaskHandler`, in the module for all handlers, or by name in `queue.handlers`. */
export interface HandlerOptions {
  /**
   * The consumer group: workers of one group share the tasks, and each group gets every task. Each group has its own retries
   * and dead letters. Default: the namespace, or `'sluice'`.
   */
  group?: string;
  /**
   * Tasks that run at the same time: in one process (a number, or `process`; default 10), and in all processes of the group together
   * (`fleet`; default: any number). A task that waits for the fleet stays in the queue, holds no place and uses no attempt.
   */
  concurrency?: number | ConcurrencyOptions;
  /**
   * How often tasks start, in all processes of the group together: never more than `limit` in any `perMs` milliseconds, or with `by`
   * never more than that of each key. A task that waits for it stays in the queue, holds no place and uses no attempt. In `queue.handlers`, members that are left out keep their
   * value, and `false` ends the limit. Default: any number.
   */
  rateLimit?: TaskRateLimit | false;
  /** After how many failed runs a task becomes a dead letter. 1: no retry. Default 3. */
  maxAttempts?: number;
  /**
   * How often one attempt is delivered until the task becomes a dead letter: each time, the process that had it died. From the
   * third delivery on, the task is run by a process that runs no other such task, so that other tasks do not collect
   * deliveries for its crashes. If this option is below 3, they may. Failed runs do not count. Default 5.
   */
  maxDeliveries?: number;
  /** How long a task waits after a failed run. Default: exponential with full jitter, from up to 1 s to up to 60 s. */
  backoff?: Backoff;
  /**
   * After how many milliseconds `task.signal` aborts one run, with a `TaskTimeoutError`. If the handler then throws, the
   * attempt has failed; if it returns, the attempt has succeeded. A handler that ignores the signal is given up after another
   * `timeoutMs`, at most 5 s: the attempt has failed, its place is free, and the old run may overlap with the retry. Default:
   * none, because a worker's death is noticed without it, and a run may take hours.
   */
  timeoutMs?: number;
  /**
   * How long an attempt is deferred, in milliseconds, while it fails because a lock was busy (`SLUICE_LOCK_TIMEOUT`), a
   * rate limit was used up (`SLUICE_RATE_LIMITED`) or Redis was out of reach (`SLUICE_REDIS_UNAVAILABLE`). Such a failure uses no attempt. After this time the task becomes a
   * dead letter. Default 24 hours.
   */
  maxDeferMs?: number;
  /**
   * A queue to which a task is published for each task that becomes a dead letter, in the same step: both are there, or
   * neither. Its payload is a `FailedTask`. The dead letter stays as well. The queue must be in the same Cluster slot, on a single
   * server too, or the boot fails with `SLUICE_CROSS_SLOT`: `'{shop:orders}.failures'` is in the slot of `orders` of the namespace `shop`. A task that is itself
   * such a failure publishes no further one. Default: none.
   */
  deadLetterTo?: QueueDefinition<FailedTask, unknown> | string;
  /**
   * Consumers of other software may read in the same group. They hold no lease: if such a consumer has not acknowledged a task
   * for this many milliseconds, the task is taken over. The time must be longer than the longest run there, or tasks run twice.
   * `false`: such tasks are never taken over, and the other software has to recover them. Default 300 000.
   */
  foreignIdleMs?: number | false;
  /**
   * Whether Nest's guards, interceptors, pipes and exception filters apply to the handler: its own, those of its class and the
   * app's global ones, with the context type `'sluice'` and the task as the only argument. If they throw, the attempt fails, as
   * if the handler had thrown. An `async` filter that does not throw has handled the error, and the task is done. Pipes get the
   * payload, but do not know its class: `new ValidationPipe({ expectedType: Order })`. Default false.
   */
  enhancers?: boolean;
}

/** The options of a handler whose method takes `(tasks: readonly Task<T>[])`. */
export type BatchHandlerOptions = HandlerOptions & WithBatch;

/** The options of one queue in `queue.handlers`. */
export type ConfiguredHandlerOptions = HandlerOptions & TunedBatch;

/** The checked options of a decorator. */
export type DeclaredOptions = HandlerOptions & DeclaredBatch;

/** Handler options of the module, checked. */
export interface GivenHandlerOptions {
  /** The options that apply if neither `queue.handlers` nor the decorator sets them. */
  readonly defaults: HandlerOptions;
  /** Those of `queue.handlers`, by name. */
  readonly handlers: ReadonlyMap<string, ConfiguredHandlerOptions>;
}

export interface ResolvedHandlerOptions {
  readonly group: string;
  readonly concurrency: number;
  /** Of a named task: how many tasks of all names of the queue run at the same time. Undefined: there is no such limit. */
  readonly ofAllNames?: { readonly queue: string; readonly concurrency: number };
  /** Tasks that run at the same time in all processes; undefined: any number. */
  readonly fleet: number | undefined;
  /** How often tasks start in all processes; undefined: any number. */
  readonly rateLimit: ResolvedRateLimit | undefined;
  /** How many tasks of a key run at the same time; undefined: any number. */
  readonly perKey?: ResolvedPerKey | undefined;
  readonly maxAttempts: number;
  readonly maxDeliveries: number;
  readonly backoff: ResolvedBackoff;
  readonly timeoutMs: number | undefined;
  readonly maxDeferMs: number;
  readonly foreignIdleMs: number | false;
  /** The name of the queue to which failures are published. */
  readonly deadLetterTo: string | undefined;
  readonly enhancers: boolean;
  /** The order of the queue's tasks by their keys; undefined: they run in any order. */
  readonly ordering?: ResolvedOrdering | undefined;
  /** How batches are formed; undefined: the handler takes single tasks. */
  readonly batch: ResolvedBatch | undefined;
}

/** The options of a decorator, checked. `site` names the decorator in errors. */
export function checkHandlerOptions(site: string, given: unknown): DeclaredOptions {
  return resolveOptions<DeclaredOptions>(site, given, { ...HANDLER_CHECKS, batch: batchOption });
}

/**
 * The order of precedence: by name, decorator, module-wide, default. Of a named task, the options for its own name come before those
 * for its whole queue.
 */
export function mergeHandlerOptions(
  definition: QueueDefinition<unknown>,
  declared: DeclaredOptions,
  options: GivenHandlerOptions,
  defaultGroup: string,
  isWhole = false,
): ResolvedHandlerOptions {
  const { name } = definition;
  const task = namedIn(definition);
  const names = optionNames(name, task);
  const limits = fleetLimitsOf(name, task, { ...options, declared, isWhole });
  const ordering = orderingOf(definition);
  if (ordering && limits.perKey) {
    throw badOption(
      `concurrency.perKey of queue '${name}'`,
      'left out: it is ordered, so one task of a key runs at a time',
      limits.perKey.places,
    );
  }
  const given = { ...options.defaults, ...declared, ...configured(options, names) };
  const { concurrency: places, ofAllNames } = concurrencyOf(names, declared, isWhole, options);
  return {
    group: defaultGroup,
    maxAttempts: 3,
    maxDeliveries: 5,
    timeoutMs: undefined,
    maxDeferMs: 24 * 3_600_000,
    foreignIdleMs: 300_000,
    enhancers: false,
    ...given,
    // Checked, and so a name. The queue of failures does not publish its own failures to itself.
    deadLetterTo: given.deadLetterTo === name ? undefined : (given.deadLetterTo as string | undefined),
    concurrency: places,
    ...(ofAllNames && { ofAllNames }),
    ...limits,
    ordering,
    backoff: resolveBackoff(given.backoff),
    batch: batchOf(declared, names, options.handlers),
  };
}

/**
 * The concurrency of a handler, and of a named task that of all names together, if there is such a limit: what `queue.handlers` gives
 * for the whole queue, or what the decorator gives on the whole queue.
 */
function concurrencyOf(
  names: readonly string[],
  declared: HandlerOptions,
  isWhole: boolean,
  { defaults, handlers }: GivenHandlerOptions,
): Pick<ResolvedHandlerOptions, 'concurrency' | 'ofAllNames'> {
  const [queue] = names.length > 1 ? names : [];
  const own = names.filter((name) => name !== queue);
  const fallback = perProcess(defaults) ?? CONCURRENCY;
  const together =
    (queue === undefined ? undefined : perProcess(handlers.get(queue))) ??
    (isWhole ? (perProcess(declared) ?? fallback) : undefined);
  const alone =
    own.map((name) => perProcess(handlers.get(name))).findLast((given) => given !== undefined) ??
    (isWhole ? undefined : perProcess(declared));
  return {
    concurrency: alone ?? together ?? fallback,
    ...(queue !== undefined && together !== undefined && { ofAllNames: { queue, concurrency: together } }),
  };
}

/** The options of `queue.handlers` for one stream, which options mean by these names. */
export function configured({ handlers }: GivenHandlerOptions, names: readonly string[]): HandlerOptions {
  return Object.assign({}, ...names.map((name) => handlers.get(name))) as HandlerOptions;
}

const CONCURRENCY = 10;

/** The checks of the options that all handlers have. */
export const HANDLER_CHECKS: OptionChecks<HandlerOptions> = {
  group: text(),
  concurrency,
  rateLimit,
  maxAttempts: optional(count(1)),
  maxDeliveries: optional(count(1)),
  backoff,
  timeoutMs: optional(durationMs(1)),
  maxDeferMs: optional(durationMs(1, { min: 0 })),
  deadLetterTo: optional(withoutOrder),
  foreignIdleMs: optional(idleMs),
  enhancers: optional(flag(false)),
};

function withoutOrder(value: unknown, path: string): string {
  refuseOrdered(value, path, 'Failures have no key: let them go to a queue without an order');
  return oneQueue(value, path);
}

function idleMs(value: unknown, path: string): number | false {
  return value === false ? value : durationMs(300_000, { min: 100 })(value, path);
}

/** Checks `queue.handlers`. */
export function handlersByName(value: unknown, path: string): ReadonlyMap<string, ConfiguredHandlerOptions> {
  if (value === undefined) return new Map();
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw badOption(path, 'an object of handler options by queue name', value);
  }
  return new Map(Object.entries(value).map(([name, given]) => [name, checkConfigured(given, `${path}.${name}`)]));
}

function checkConfigured(given: unknown, path: string): ConfiguredHandlerOptions {
  return resolveOptions<ConfiguredHandlerOptions>(path, given, { ...HANDLER_CHECKS, batch: batchTuning });
}
