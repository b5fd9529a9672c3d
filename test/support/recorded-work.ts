/** What a task of `test/apps/history-worker.ts` asks for. */
export interface RecordedWork {
  /**
   * Kills its process, once: before the settlement is written to the socket, or when it has been. `always`: each process that gets it,
   * until it is a dead letter.
   */
  readonly dies?: 'written' | 'sent' | 'always';
  /** Fails for good. */
  readonly fails?: boolean;
  /** Is acknowledged with a note. */
  readonly notes?: boolean;
}
