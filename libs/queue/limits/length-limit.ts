import { badOption, count, durationMs, oneOf, required, resolveOptions } from '../../weave/index.js';

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
  const isGiven = (value as LengthLimit).waitMs !== undefined;
  if (onFull === 'reject' && isGiven) throw badOption(`${path}.waitMs`, "left out unless onFull is 'wait'", waitMs);
  return Object.freeze({ limit, onFull, waitMs: isGiven ? waitMs : WAIT_MS });
}

interface Checked {
  limit: number;
  onFull: 'reject' | 'wait';
  waitMs: number;
}
