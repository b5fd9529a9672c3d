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
import { propagationOption, type Propagation } from './task/propagation.js';
import { delay } from './task/delay.js';
import { backoff, resolveBackoff, type Backoff, type ResolvedBackoff } from './task/backoff.js';

/** How one handler works. Given to `@TaskHandler`, module-wide, or by name in `queue.handlers`. */
export interface HandlerOptions {
  /**
   * The consumer group: workers of one group share the tasks, and each group gets every task. Retries and dead letters
   * are a group's own. Default: the namespace, or `'sluice'`.
   */
  group?: string;
  /** Tasks that run at the same time in one process. Default 10. */
  concurrency?: number;
  /** Runs until a failing task becomes a dead letter. 1: no retry. Default 3. */
  maxAttempts?: number;
  /**
   * How often one attempt is delivered until the task becomes a dead letter: each time, the process that had it died. From
   * the third delivery on, it is run by a process that runs no other such task, so that its neighbours collect no
   * deliveries for its crashes. Below 3 they may. Runs that failed do not count. Default 5.
   */
  maxDeliveries?: number;
  /** How long a task rests after a run that failed. Default: exponential with full jitter, from up to 1 s to up to 60 s. */
  backoff?: Backoff;
  /**
   * After how many milliseconds `task.signal` aborts one run, with a `TaskTimeoutError`. What the handler throws then
   * counts as a failed attempt; what it returns counts as success. One that goes on regardless is given up after as
   * long again, at most 5 s: the attempt has failed, its place is free, and what it still does may overlap with the
   * retry. Default: none, for a worker's death is noticed without it, and a run may take hours.
   */
  timeoutMs?: number;
  /**
   * How long an attempt is deferred, in milliseconds, while it fails because a lock was busy (`SLUICE_LOCK_TIMEOUT`) or
   * Redis out of reach (`SLUICE_REDIS_UNAVAILABLE`), which uses no attempt. After that the task becomes a dead letter.
   * Default 24 hours.
   */
  maxDeferMs?: number;
  /**
   * Consumers of other software may read in the same group. They hold no lease: a task that one of them was handed and
   * did not acknowledge for this long, in milliseconds, is taken over. Longer than their longest handler, or tasks run
   * twice; `false`: never, then it is theirs to recover. Default 300 000.
   */
  foreignIdleMs?: number | false;
  /**
   * Apply Nest's guards, interceptors, pipes and exception filters to the handler: its own, its class' and the app's
   * global ones, with the context type `'sluice'` and the task as the only argument. What they throw fails the attempt,
   * as if the handler had; an `async` filter that does not throw has dealt with it, and the task is done. Pipes get the
   * payload; its class is not known to them: `new ValidationPipe({ expectedType: Order })`. Default false.
   */
  enhancers?: boolean;
}

/** How many dead letters of a queue are kept. Older ones are deleted, and the log says how many. */
export interface DeadRetention {
  /** The newest so many. Default: any number. */
  keep?: number;
  /** Those that are not older, in milliseconds. Default: of any age. */
  keepMs?: number;
}

/** The `queue` part of the module's options. What stands here for handlers is the default of all of them. */
export interface SluiceQueueModuleOptions extends HandlerOptions {
  /** Which Redis of `redis.connections`. Default `'default'`. */
  connection?: string;
  /** Which queues this process works on: `false` for none (it only publishes), or their names. Default: all it handles. */
  consumers?: false | readonly string[];
  /** Per queue, by name; beats what the decorator says. A queue that nothing here handles is warned of at boot. */
  handlers?: Readonly<Record<string, HandlerOptions>>;
  /**
   * How long a process counts as alive after its last renewal, in milliseconds. A killed process' tasks run elsewhere
   * at most this plus two seconds later; an event loop blocked longer may see its tasks run twice. The same in all
   * processes. Default 5 000, at least 100.
   */
  leaseMs?: number;
  /** Which dead letters are kept, per queue. Default: all. Checked once per lease by the processes that work on the queue. */
  dead?: DeadRetention;
  /** How traces go along with tasks. Default: a task carries what `publish` is told to send, and nothing else. */
  propagation?: Propagation;
  /** The largest payload, in bytes of JSON. Larger ones are refused. Default 1 048 576. */
  maxPayloadBytes?: number;
  /** How long a stop waits for running tasks, in milliseconds. Then they are aborted and returned. Default 20 000. */
  drainMs?: number;
}

export interface ResolvedHandlerOptions {
  readonly group: string;
  readonly concurrency: number;
  readonly maxAttempts: number;
  readonly maxDeliveries: number;
  readonly backoff: ResolvedBackoff;
  readonly timeoutMs: number | undefined;
  readonly maxDeferMs: number;
  readonly foreignIdleMs: number | false;
  readonly enhancers: boolean;
}

export interface ResolvedQueueOptions {
  readonly propagation: Propagation | undefined;
  readonly connection: string | undefined;
  readonly consumers: false | readonly string[] | undefined;
  readonly leaseMs: number;
  readonly drainMs: number;
  readonly maxPayloadBytes: number;
  readonly dead: DeadRetention;
  /** What holds where neither `queue.handlers` nor the decorator says anything. */
  readonly defaults: HandlerOptions;
  readonly handlers: ReadonlyMap<string, HandlerOptions>;
}

/**
 * Checks the `queue` options once, at boot.
 *
 * @throws SluiceError `SLUICE_BAD_OPTION` naming the path and the value
 */
export function resolveQueueOptions(given: SluiceQueueModuleOptions | undefined): ResolvedQueueOptions {
  const { connection, consumers, handlers, leaseMs, drainMs, maxPayloadBytes, dead, propagation, ...defaults } =
    resolveOptions<Resolving>('queue', given, {
      connection: text(),
      consumers: queueNames,
      handlers: handlersByName,
      leaseMs: durationMs(5_000, { min: 100 }),
      drainMs: durationMs(20_000, { min: 0 }),
      maxPayloadBytes: count(1_048_576),
      dead: retention,
      propagation: propagationOption,
      ...HANDLER_CHECKS,
    });
  return { connection, consumers, handlers, leaseMs, drainMs, maxPayloadBytes, dead, propagation, defaults };
}

/** What a decorator says, checked; `site` names it in errors. */
export function checkHandlerOptions(site: string, given: unknown): HandlerOptions {
  return resolveOptions(site, given, HANDLER_CHECKS);
}

/** By name > decorator > module-wide > default. */
export function mergeHandlerOptions(
  queue: string,
  declared: HandlerOptions,
  options: ResolvedQueueOptions,
  defaultGroup: string,
): ResolvedHandlerOptions {
  const given = { ...options.defaults, ...declared, ...options.handlers.get(queue) };
  return {
    group: defaultGroup,
    concurrency: 10,
    maxAttempts: 3,
    maxDeliveries: 5,
    timeoutMs: undefined,
    maxDeferMs: 24 * 3_600_000,
    foreignIdleMs: 300_000,
    enhancers: false,
    ...given,
    backoff: resolveBackoff(given.backoff),
  };
}

interface Resolving extends HandlerOptions {
  connection?: string;
  consumers?: false | readonly string[];
  handlers: ReadonlyMap<string, HandlerOptions>;
  leaseMs: number;
  drainMs: number;
  maxPayloadBytes: number;
  dead: DeadRetention;
  propagation?: Propagation;
}

const HANDLER_CHECKS: OptionChecks<HandlerOptions> = {
  group: text(),
  concurrency: optional(count(1)),
  maxAttempts: optional(count(1)),
  maxDeliveries: optional(count(1)),
  backoff,
  timeoutMs: optional(durationMs(1)),
  maxDeferMs: optional(durationMs(1, { min: 0 })),
  foreignIdleMs: optional(idleMs),
  enhancers: optional(flag(false)),
};

function retention(value: unknown, path: string): DeadRetention {
  if (value === undefined) return {};
  return resolveOptions<DeadRetention>(path, value, { keep: optional(count(1, { min: 0 })), keepMs: optional(delay) });
}

function idleMs(value: unknown, path: string): number | false {
  return value === false ? value : durationMs(300_000, { min: 100 })(value, path);
}

function handlersByName(value: unknown, path: string): ReadonlyMap<string, HandlerOptions> {
  if (value === undefined) return new Map();
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw badOption(path, 'an object of handler options by queue name', value);
  }
  return new Map(Object.entries(value).map(([name, given]) => [name, checkHandlerOptions(`${path}.${name}`, given)]));
}

function queueNames(value: unknown, path: string): false | readonly string[] | undefined {
  if (value === undefined || value === false) return value;
  if (!Array.isArray(value) || value.length === 0 || !value.every((name) => typeof name === 'string')) {
    throw badOption(path, 'false or a list of queue names', value);
  }
  return value;
}
