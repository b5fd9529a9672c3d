/** At which step a process dies: `written`: before its acknowledgement is on the socket, `sent`: after it, `answered`: when Redis has confirmed it. */
export const DEATHS = ['begun', 'noted', 'returned', 'written', 'sent', 'answered'] as const;

/** What a task asks of the process `commit-worker`. */
export interface NotedWork {
  /** Kills the process at this step. */
  dies?: (typeof DEATHS)[number];
  /** Does not end before the operation `finish`. */
  hangs?: boolean;
}
