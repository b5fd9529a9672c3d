import { oneOf, resolveOptions } from '../../weave/index.js';

/** What is done about schedules of the queues that this process works on. */
export interface SchedulesOptions {
  /**
   * What happens to schedules that no process declares any more: `'run'` (they go on, and are reported in the log once an hour), or
   * `'pause'` (after 24 hours). Default `'run'`.
   */
  orphans?: 'run' | 'pause';
}

/** Checks `queue.schedules`. */
export function schedulesOptions(value: unknown, path: string): Required<SchedulesOptions> {
  return resolveOptions<Required<SchedulesOptions>>(path, value, { orphans: oneOf(['run', 'pause'], 'run') });
}
