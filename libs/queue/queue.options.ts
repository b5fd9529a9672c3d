import { badOption, count, durationMs, resolveOptions, text } from '../weave/index.js';
import { retention, type DeadRetention } from './admin/dead-retention.js';
import {
  HANDLER_CHECKS,
  handlersByName,
  type ConfiguredHandlerOptions,
  type GivenHandlerOptions,
  type HandlerOptions,
} from './handler.options.js';
import { queuesByName, type QueueOptions, type QueuesByName } from './limits/length-limits.js';
import { schedulesOptions, type SchedulesOptions } from './schedules/orphans.options.js';
import { noBatchForAll } from './task/batch.options.js';
import { propagationOption, type Propagation } from './task/propagation.js';

/** The `queue` part of the module's options. Handler options that are set here are the default for all handlers. */
export interface SluiceQueueModuleOptions extends HandlerOptions {
  /** The Redis of `redis.connections` that queues use. Default `'default'`. */
  connection?: string;
  /** The queues that this process works on: their names, or `false` for none (it only publishes). Default: all it handles. */
  consumers?: false | readonly string[];
  /**
   * Options per queue, by name. They override the decorator's options. The boot warns of a queue without a handler here. Of a queue
   * with named tasks, `'files.import'` is one name, and `'files'` means all of them: `concurrency` is then for all together in one
   * process. Limits of the fleet are given for each name.
   */
  handlers?: Readonly<Record<string, ConfiguredHandlerOptions>>;
  /**
   * How long a process counts as alive after its last renewal, in milliseconds. The tasks of a killed process run elsewhere at
   * most this time plus two seconds later. If an event loop is blocked for longer, its tasks may run twice. Must be the same in
   * all processes. Default 5 000, at least 100.
   */
  leaseMs?: number;
  /** Options per queue for its publishers, by name: `{ orders: { maxLength: { limit: 500 } } }`. What they leave out is as `defineQueue` says. */
  queues?: Readonly<Record<string, QueueOptions>>;
  /** Which dead letters are kept, per queue. Default: all. Checked once per lease by the processes that work on the queue. */
  dead?: DeadRetention;
  /** What is done about schedules that no process declares any more. Default: they go on. */
  schedules?: SchedulesOptions;
  /** How trace context is sent along with tasks. Default: only the context that is given to `publish` is sent. */
  propagation?: Propagation;
  /** The largest payload, in bytes of JSON. Larger ones are refused. Default 1 048 576. */
  maxPayloadBytes?: number;
  /** How long a stop waits for running tasks, in milliseconds. Then they are aborted and returned. Default 20 000. */
  drainMs?: number;
}

export interface ResolvedQueueOptions extends GivenHandlerOptions {
  readonly propagation: Propagation | undefined;
  readonly connection: string | undefined;
  readonly consumers: false | readonly string[] | undefined;
  readonly leaseMs: number;
  readonly drainMs: number;
  readonly maxPayloadBytes: number;
  readonly dead: DeadRetention;
  readonly schedules: Required<SchedulesOptions>;
  readonly queues: QueuesByName;
}

/**
 * Checks the `queue` options once, at boot.
 *
 * @throws SluiceError `SLUICE_BAD_OPTION`, which names the path and the value
 */
export function resolveQueueOptions(given: SluiceQueueModuleOptions | undefined): ResolvedQueueOptions {
  const {
    connection,
    consumers,
    handlers,
    leaseMs,
    drainMs,
    maxPayloadBytes,
    dead,
    schedules,
    propagation,
    queues,
    ...defaults
  } = resolveOptions<Resolving>('queue', given, {
    connection: text(),
    consumers: queueNames,
    handlers: handlersByName,
    leaseMs: durationMs(5_000, { min: 100 }),
    drainMs: durationMs(20_000, { min: 0 }),
    maxPayloadBytes: count(1_048_576),
    dead: retention,
    schedules: schedulesOptions,
    propagation: propagationOption,
    queues: queuesByName,
    ...HANDLER_CHECKS,
    batch: noBatchForAll,
  });
  return {
    connection,
    consumers,
    handlers,
    leaseMs,
    drainMs,
    maxPayloadBytes,
    dead,
    schedules,
    propagation,
    queues,
    defaults,
  };
}

interface Resolving extends HandlerOptions {
  connection?: string;
  consumers?: false | readonly string[];
  handlers: ReadonlyMap<string, ConfiguredHandlerOptions>;
  batch?: undefined;
  leaseMs: number;
  drainMs: number;
  maxPayloadBytes: number;
  dead: DeadRetention;
  schedules: Required<SchedulesOptions>;
  propagation?: Propagation;
  queues: QueuesByName;
}

function queueNames(value: unknown, path: string): false | readonly string[] | undefined {
  if (value === undefined || value === false) return value;
  if (!Array.isArray(value) || value.length === 0 || !value.every((name) => typeof name === 'string')) {
    throw badOption(path, 'false or a list of queue names', value);
  }
  return value;
}
