import { count, optional, resolveOptions } from '../../weave/index.js';
import { delay } from '../task/delay.js';

/** How many dead letters of a queue are kept. Older ones are deleted, and the log says how many. */
export interface DeadRetention {
  /** How many of the newest dead letters are kept. Default: any number. */
  keep?: number;
  /** For how many milliseconds a dead letter is kept. Default: for any time. */
  keepMs?: number;
}

/** Checks `queue.dead`. */
export function retention(value: unknown, path: string): DeadRetention {
  if (value === undefined) return {};
  return resolveOptions<DeadRetention>(path, value, { keep: optional(count(1, { min: 0 })), keepMs: optional(delay) });
}
