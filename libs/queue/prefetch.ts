/**
 * How many tasks a worker holds beyond those that run, so that it need not wait for Redis between two.
 *
 * Too few, and a worker with short tasks waits for round trips; too many, and a busy process sits on tasks that an
 * idle one could run, and leaves more to repeat when it dies.
 */
export function prefetchFor(concurrency: number): number {
  return Math.min(500, 4 * concurrency);
}
