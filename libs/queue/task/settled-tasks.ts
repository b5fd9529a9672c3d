/** How the tasks of one `publishMany` have ended. */
export interface SettledCounts {
  /** How many there were: the sum of the others. */
  readonly total: number;
  /** Tasks whose handler returned, or threw a `DropTask`. */
  readonly completed: number;
  /** Tasks that became dead letters, whatever became of them later. */
  readonly failed: number;
  /** Tasks that were removed, purged or cancelled before they had ended. */
  readonly removed: number;
}

/** The payload of the task that `whenAllSettled` publishes. */
export interface SettledTasks<T = unknown> {
  /** What `whenAllSettled.payload` was. */
  readonly payload: T;
  readonly counts: SettledCounts;
}
