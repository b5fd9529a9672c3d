// As libs/queue/worker/adaptive-prefetch.ts has them; its spec holds this bound against it.
const AT_HAND_MS = 50;
const MEASURED_MS = 10;
const MOST = 500;

/**
 * How many tasks a process holds at most, and so how many may run a second time when it dies: those that run, and what
 * it has at hand.
 *
 * One place ends at most `1 + W / taskMs` tasks within W ms, and the pace is measured over 10 ms or more: so it is never
 * taken for more than `1 / taskMs + 1 / 10` tasks per ms and place. A timer may fire one millisecond early.
 *
 * @param taskMs how long the shortest task takes
 */
export function mostHeld(concurrency: number, taskMs: number): number {
  const perMs = concurrency * (1 / (taskMs - 1) + 1 / MEASURED_MS);
  return concurrency + Math.min(MOST, Math.floor(AT_HAND_MS * perMs));
}
