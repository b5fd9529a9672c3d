import { LIMIT_MAX } from '../../redis/index.js';
import { SluiceError, badOption, count, durationMs, optional, resolveOptions, type Check } from '../../weave/index.js';
import { optionNames } from '../named-tasks.js';
import type { NamedTask } from '../queue-definition.js';

/** How many tasks of one handler run at the same time. A number means `{ process: n }`. */
export interface ConcurrencyOptions {
  /** In one process. Default 10. */
  process?: number;
  /**
   * In all processes of the group together; `false`: any number. The place of a process that died is free when its lease has ended.
   * Default: any number.
   */
  fleet?: number | false;
  /**
   * Of the tasks that have the same value at `by`, in all processes of the group together: 1 to 100; `false`: any number. A task that
   * waits for its key takes no place and uses no attempt, and others go on. Default: any number.
   */
  perKey?: number | false;
  /**
   * Where a payload has the key for `perKey`: the name of a member, or names with dots between, as `'customer.id'`. What is there counts as
   * a key if it is a text or a whole number. Other tasks are not limited.
   */
  by?: string;
}

/** How often tasks of one handler start, in all processes of the group together. `limit` and `perMs` must be given somewhere. */
export interface TaskRateLimit {
  /** At most so many starts in any `perMs`. Runs after a failure or a crash count as well. */
  limit?: number;
  /** In milliseconds. */
  perMs?: number;
  /**
   * Where a payload has the key of which there may be so many starts: the name of a member, or names with dots between, as
   * `'account.id'`. Each key has a rate of its own, and tasks of other keys go on. What is there counts as a key if it is a text or a whole
   * number; tasks without one are not limited. It must be `concurrency.by` if that is given. `false`: all tasks have one rate. Default: one
   * rate.
   */
  by?: string | false;
}

export interface ResolvedRateLimit {
  readonly limit: number;
  readonly perMs: number;
  /** Where a payload has the key whose rate it is; undefined: it is that of all tasks together. */
  readonly by?: string | undefined;
}

/** The limits of a handler that hold for all processes. */
export interface ResolvedFleetLimits {
  readonly fleet: number | undefined;
  readonly rateLimit: ResolvedRateLimit | undefined;
  readonly perKey?: ResolvedPerKey | undefined;
}

/** How many tasks of a key run at the same time. */
export interface ResolvedPerKey {
  readonly places: number;
  readonly by: string;
}

/** The most places of a key: they stand in one field. */
const PER_KEY_MAX = 100;

/** The part of a handler's options that limits it. */
export interface LimitedOptions {
  concurrency?: number | ConcurrencyOptions;
  rateLimit?: TaskRateLimit | false;
}

/** Checks a `concurrency`, and makes an object of a number. */
export function concurrency(value: unknown, path: string): ConcurrencyOptions | undefined {
  if (value === undefined) return undefined;
  if (typeof value !== 'object') return { process: count(1)(value, path) };
  return resolveOptions<ConcurrencyOptions>(path, value, {
    process: optional(count(1)),
    fleet: (given, at) => (given === false ? given : optional(atMost(LIMIT_MAX))(given, at)),
    perKey: (given, at) => (given === false ? given : optional(atMost(PER_KEY_MAX))(given, at)),
    by: memberPath,
  });
}

/** Checks a `rateLimit`. */
export function rateLimit(value: unknown, path: string): TaskRateLimit | false | undefined {
  if (value === undefined || value === false) return value;
  return resolveOptions<TaskRateLimit>(path, value, {
    limit: optional(atMost(LIMIT_MAX)),
    perMs: optional(durationMs(1)),
    by: (given, at) => (given === false ? given : memberPath(given, at)),
  });
}

/** What a checked `concurrency` says of one process. */
export function perProcess(given: LimitedOptions | undefined): number | undefined {
  const { concurrency: each } = given ?? {};
  return typeof each === 'object' ? each.process : each;
}

/**
 * The limits of one stream's handler: the options of its name come before those of the decorator, and these before those of the module,
 * member by member.
 *
 * @throws SluiceError `SLUICE_BAD_OPTION` if a member is missing, or if the limit is one of all named tasks of a queue together
 */
export function fleetLimitsOf(
  stream: string,
  task: NamedTask | false | undefined,
  { declared, defaults, handlers, isWhole }: FleetSources,
): ResolvedFleetLimits {
  const names = optionNames(stream, task);
  const [whole = stream, own = stream] = names;
  if (names.length > 1) {
    refuseTogether(isWhole ? declared : undefined, `@TaskHandler on all of '${whole}'`, own);
    refuseTogether(handlers.get(whole), `queue.handlers.${whole}`, own);
  }
  const given = [defaults, declared, ...names.map((name) => handlers.get(name) ?? {})];
  const fleet = given.map(fleetOf).findLast((each) => each !== undefined);
  const off = given.findLastIndex((each) => each.rateLimit === false);
  const rate = Object.assign({}, ...given.slice(off + 1).map((each) => each.rateLimit)) as TaskRateLimit;
  const limits = {
    fleet: fleet === false ? undefined : fleet,
    rateLimit: completed(rate, own),
    perKey: perKeyOf(given, own),
  };
  refuseTwoKeys(limits, own);
  return limits;
}

/** A task would hold a place of one key while it waits for the rate of another, and others of the first one could not go on. */
function refuseTwoKeys({ rateLimit: rate, perKey }: ResolvedFleetLimits, name: string): void {
  if (rate?.by === undefined || perKey === undefined || rate.by === perKey.by) return;
  throw new SluiceError(
    'SLUICE_BAD_OPTION',
    `rateLimit.by of queue '${name}' is '${rate.by}', and concurrency.by is '${perKey.by}': a task would hold a place of one key while it ` +
      'waits for the rate of another. Use one member for both, or leave one of the two limits out',
  );
}

export interface FleetSources {
  readonly declared: LimitedOptions;
  readonly defaults: LimitedOptions;
  readonly handlers: ReadonlyMap<string, LimitedOptions>;
  /** Whether the decorator is on all named tasks of a queue. */
  readonly isWhole: boolean;
}

function fleetOf({ concurrency: given }: LimitedOptions): number | false | undefined {
  return typeof given === 'object' ? given.fleet : undefined;
}

function placesOf({ concurrency: given }: LimitedOptions): number | false | undefined {
  return typeof given === 'object' ? given.perKey : undefined;
}

function perKeyOf(given: readonly LimitedOptions[], name: string): ResolvedPerKey | undefined {
  const places = given.map(placesOf).findLast((each) => each !== undefined);
  const by = given
    .map(({ concurrency: each }) => (typeof each === 'object' ? each.by : undefined))
    .findLast((each) => each !== undefined);
  if (places === false || (places === undefined && by === undefined)) return undefined;
  if (places !== undefined && by !== undefined) return { places, by };
  const missing = places === undefined ? 'perKey' : 'by';
  throw new SluiceError(
    'SLUICE_BAD_OPTION',
    `concurrency of queue '${name}' has no ${missing}: give it in @TaskHandler or in queue.handlers['${name}']`,
  );
}

/** Checks the path of a member of payloads. */
function memberPath(value: unknown, path: string): string | undefined {
  const isPath = typeof value === 'string' && /^[^.\0]+(\.[^.\0]+)*$/.test(value) && value.length <= 256;
  if (value === undefined || isPath) return value;
  throw badOption(path, "the name of a member of payloads, or names with dots between, as 'customer.id'", value);
}

function completed({ limit, perMs, by }: TaskRateLimit, name: string): ResolvedRateLimit | undefined {
  if (limit === undefined && perMs === undefined && (by === undefined || by === false)) return undefined;
  if (limit !== undefined && perMs !== undefined) return { limit, perMs, ...(by && { by }) };
  const missing = limit === undefined ? 'limit' : 'perMs';
  throw new SluiceError(
    'SLUICE_BAD_OPTION',
    `rateLimit of queue '${name}' has no ${missing}: give it in @TaskHandler or in queue.handlers['${name}']`,
  );
}

/** Each named task has limits of its own: one script cannot know the names that other processes work on. */
function refuseTogether(given: LimitedOptions | undefined, site: string, name: string): void {
  if (given === undefined) return;
  const member = fleetOf(given)
    ? 'concurrency.fleet'
    : placesOf(given)
      ? 'concurrency.perKey'
      : given.rateLimit
        ? 'rateLimit'
        : undefined;
  if (member === undefined) return;
  throw new SluiceError(
    'SLUICE_BAD_OPTION',
    `${site}: ${member}: each named task has limits of its own. Use queue.handlers['${name}']`,
  );
}

function atMost(max: number): Check<number> {
  return (value, path) => {
    const checked = count(1)(value, path);
    if (checked > max) throw badOption(path, `a whole number from 1 to ${max}`, value);
    return checked;
  };
}
