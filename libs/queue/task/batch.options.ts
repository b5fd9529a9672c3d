import { badOption, count, durationMs, optional, required, resolveOptions, type Check } from '../../weave/index.js';

/** Makes a handler get several tasks at once. Set in `@TaskHandler`; `queue.handlers` may change its members. */
export interface BatchOptions {
  /** How many tasks a batch has at most: 1 to 1,000. A process holds up to `concurrency` · `max` tasks. */
  max: number;
  /**
   * How long a task waits here for a fuller batch, in milliseconds, from when this process received it. Waiting tasks take no place. A
   * full batch, a pause and a stop of the app end the wait. Default 0: a batch is what is there.
   */
  waitMs?: number;
}

/** What a decorator adds to the options of a handler whose method takes an array. */
export interface WithBatch {
  /**
   * The method gets up to `max` tasks at once. `concurrency`, `timeoutMs` and `signal` are then for batches; attempts, delays and dead
   * letters are for each task. Only the decorator can set it, and `queue.handlers` may change its members.
   */
  batch: BatchOptions;
}

/** What `queue.handlers` may change. */
export interface TunedBatch {
  /** Changes members of the `batch` in `@TaskHandler`. A handler without `batch` refuses it. */
  batch?: Partial<BatchOptions>;
}

/** The checked batch of a decorator. */
export interface DeclaredBatch {
  readonly batch?: ResolvedBatch | undefined;
}

/** How batches are formed. */
export interface ResolvedBatch {
  readonly max: number;
  readonly waitMs: number;
}

/** Returned and settled tasks are named in scripts, whose time grows with their number. */
const MOST = 1_000;

/** The `batch` of a decorator. */
export const batchOption: Check<ResolvedBatch | undefined> = (value, path) =>
  value === undefined
    ? value
    : resolveOptions<ResolvedBatch>(path, value, { max: required(upTo), waitMs: durationMs(0, { min: 0 }) });

/** The `batch` of `queue.handlers`: members that are left out are as the decorator says. */
export const batchTuning: Check<Partial<BatchOptions> | undefined> = (value, path) =>
  value === undefined
    ? value
    : resolveOptions<Partial<BatchOptions>>(path, value, {
        max: optional(upTo),
        waitMs: optional(durationMs(0, { min: 0 })),
      });

function upTo(value: unknown, path: string): number {
  const max = count(1)(value, path);
  if (max > MOST) throw badOption(path, `at most ${MOST}`, value);
  return max;
}

/**
 * The batches of a handler: what its decorator declares, with what the configuration changes. `names` are those of the handler's queue in
 * `queue.handlers`, the one with precedence last.
 *
 * @throws SluiceError `SLUICE_BAD_OPTION` if only the configuration has `batch`: the method takes one task
 */
export function batchOf(
  { batch: declared }: DeclaredBatch,
  names: readonly string[],
  handlers: ReadonlyMap<string, TunedBatch>,
): ResolvedBatch | undefined {
  const tuned = names.map((name) => handlers.get(name)?.batch);
  if (declared !== undefined) return Object.assign({}, declared, ...tuned) as ResolvedBatch;
  for (const [i, batch] of tuned.entries()) {
    if (batch !== undefined) throw badOption(`queue.handlers.${names[i]}.batch`, NOT_DECLARED, batch);
  }
  return undefined;
}

const NOT_DECLARED =
  'left out, because the @TaskHandler of this queue has no batch: its method takes one task. Give batch there, and an array to the method';

/** The `batch` of the module's options for all handlers. It is refused, because a method takes either one task or an array. */
export const noBatchForAll: Check<undefined> = (value, path) => {
  if (value !== undefined) throw badOption(path, 'left out: batch belongs into @TaskHandler, beside its method', value);
  return undefined;
};
