import { badOption, count, durationMs, oneOf, optional, required, resolveOptions } from '../../weave/index.js';

/** How many tasks a queue may have, for its publishers. */
export interface LengthLimit {
  /**
   * How many tasks may wait, be delayed or be with workers, of all groups, for a publish to be accepted. Dead letters do not count.
   */
  limit: number;
  /** What a publish does that would make it more: `'reject'` with a {@link QueueFullError}, or `'wait'`. Default `'reject'`. */
  onFull?: 'reject' | 'wait';
  /** With `'wait'`: after how many milliseconds the publish rejects after all. Default 10 000. */
  waitMs?: number;
}

export interface ResolvedLengthLimit {
  readonly limit: number;
  readonly onFull: 'reject' | 'wait';
  readonly waitMs: number;
}

const WAIT_MS = 10_000;

/** Checks a `maxLength`. */
export function lengthLimit(value: unknown, path: string): ResolvedLengthLimit {
  const { limit, onFull, waitMs } = resolveOptions<Checked>(path, value, {
    limit: required(count(1)),
    onFull: oneOf(['reject', 'wait'], 'reject'),
    waitMs: durationMs(0, { min: 0 }),
  });
  const given = value as LengthLimit;
  if (onFull === 'reject') refuseWaitMs(given, path);
  return Object.freeze({ limit, onFull, waitMs: given.waitMs === undefined ? WAIT_MS : waitMs });
}

/** The `maxLength` of a configuration: the members that it changes. */
export type LengthChange = Readonly<Partial<LengthLimit>>;

/** Checks the `maxLength` of a configuration. What it leaves out, the definition says. */
export function lengthChange(value: unknown, path: string): LengthChange {
  const change = resolveOptions<LengthChange>(path, value, {
    limit: optional(count(1)),
    onFull: optional(oneOf(['reject', 'wait'], 'reject')),
    waitMs: optional(durationMs(0, { min: 0 })),
  });
  const { limit, onFull, waitMs } = change;
  if (limit === undefined && onFull === undefined && waitMs === undefined) {
    throw badOption(path, 'false, or an object with a limit, an onFull or a waitMs', value);
  }
  if (onFull === 'reject') refuseWaitMs(change, path);
  return change;
}

/**
 * The limit that follows from a definition and a change of the configuration, member by member.
 *
 * @throws SluiceError `SLUICE_BAD_OPTION` if neither has a `limit`, or if the change has a `waitMs` and publishes do not wait
 */
export function changedLength(
  declared: ResolvedLengthLimit | undefined,
  change: LengthChange,
  path: string,
): ResolvedLengthLimit {
  const {
    limit = declared?.limit,
    onFull = declared?.onFull ?? 'reject',
    waitMs = declared?.waitMs ?? WAIT_MS,
  } = change;
  if (limit === undefined) throw badOption(`${path}.limit`, 'given, because the definition has no maxLength', limit);
  if (onFull === 'reject') refuseWaitMs(change, path);
  return { limit, onFull, waitMs };
}

function refuseWaitMs({ waitMs }: LengthChange, path: string): void {
  if (waitMs !== undefined) throw badOption(`${path}.waitMs`, "left out unless onFull is 'wait'", waitMs);
}

interface Checked {
  limit: number;
  onFull: 'reject' | 'wait';
  waitMs: number;
}
