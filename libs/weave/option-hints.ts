/** Options of BullMQ, Bull, cache-manager, redlock and ioredis, and the options of Sluice with the same purpose. */
const SAME_WORK: Readonly<Record<string, readonly string[]>> = {
  attempts: ['maxAttempts'],
  attempt: ['maxAttempts'],
  retries: ['maxAttempts'],
  maxRetries: ['maxAttempts'],
  retry: ['maxAttempts'],
  maxStalledCount: ['maxDeliveries'],
  lockDuration: ['leaseMs', 'ttlMs'],
  retryCount: ['waitMs'],
  retryDelay: ['waitMs', 'backoff'],
  wait: ['waitMs', 'delayMs'],
  duration: ['ttlMs'],
  expire: ['ttlMs'],
  expiry: ['ttlMs'],
  refreshThreshold: ['earlyRefresh', 'staleMs'],
  timestamp: ['runAt'],
  removeOnFail: ['dead'],
  connection: ['redis'],
  prefix: ['namespace'],
  keyPrefix: ['namespace'],
  max: ['maxEntries'],
};

/** Options of the same packages for which Sluice has no option, and what an app does instead. */
const NO_OPTION: Readonly<Record<string, string>> = {
  removeOnComplete: 'Leave it out: a completed task is removed at once',
  removeOnFail: "Give the module queue: { dead: { keep, keepMs } }, which bounds a queue's dead letters",
  jobId: 'A task gets its id from Redis: put a key of your own into the payload, and let the handler skip what is done',
  repeat: 'For work on a schedule, put @WithLock on a @Cron method, and publish there',
  priority: 'It is an option of publish, for a queue with shares',
  limiter: 'Bound the work with concurrency of @TaskHandler',
  concurrency: 'It is an option of @TaskHandler',
  attempts: 'It is maxAttempts of @TaskHandler or publish',
  backoff: 'It is an option of @TaskHandler',
};

/** A mistyped name has at most this many letters too many, too few or wrong. */
const TYPOS = 2;

/** A guess at what an option with an unknown name means: a sentence for the error's message, or nothing. */
export function hintFor(unknown: string, known: readonly string[]): string {
  const same = SAME_WORK[own(SAME_WORK, unknown)]?.filter((name) => known.includes(name)) ?? [];
  const meant = same.length > 0 ? same : similarTo(unknown, known);
  if (meant.length > 0) return `Did you mean ${meant.join(' or ')}?`;
  return NO_OPTION[own(NO_OPTION, unknown)] ?? '';
}

/** The entry of a name, if the table itself has it: every object inherits `constructor`. */
function own(table: object, name: string): string {
  return Object.hasOwn(table, name) ? name : '';
}

/** The names that differ in case, in the unit or by a typo, best first; none if the name cannot be an option's name. */
export function similarTo(name: string, known: readonly string[]): readonly string[] {
  if (name.length > 64) return [];
  const low = name.toLowerCase();
  const sameWord = known.filter((each) => [low, `${low}ms`].includes(each.toLowerCase()));
  if (sameWord.length > 0) return sameWord;
  const most = Math.min(TYPOS, Math.floor(name.length / 3));
  const distances = known.map((each) => [each, typos(low, each.toLowerCase())] as const);
  const least = Math.min(...distances.map(([, distance]) => distance));
  return least > most ? [] : distances.filter(([, distance]) => distance === least).map(([each]) => each);
}

/** How many letters must be added, removed or replaced to turn one text into the other. */
function typos(from: string, to: string): number {
  let row = Array.from({ length: to.length + 1 }, (_, i) => i);
  for (let i = 1; i <= from.length; i++) {
    const next = [i];
    for (let j = 1; j <= to.length; j++) {
      const replaced = (row[j - 1] ?? 0) + (from[i - 1] === to[j - 1] ? 0 : 1);
      next.push(Math.min(replaced, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[to.length] ?? 0;
}
