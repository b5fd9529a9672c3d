import { Injectable } from '@nestjs/common';

/** What this process has noticed about its queues: the result of `QueueService.stats()`. */
export interface QueueStats {
  /**
   * Consumer groups that have tasks now, and have had no consumer for twelve leases. Only the other groups of the queues that
   * this process works on are counted.
   */
  readonly unreadGroups: number;
  /** How often such a group was reported since this process started. */
  readonly unreadReports: number;
  /**
   * Queues that this process should work on, and leaves alone now: a newer release of this package keeps data there that this
   * release does not know. Counted once per group.
   */
  readonly leftAlone: number;
  /** How often such a queue was reported since this process started. */
  readonly leftAloneReports: number;
  /** Tasks that this process had, or was to take over, and that were dropped because they were cancelled. */
  readonly cancelled: number;
}

/** Counts what the workers of this process notice. */
@Injectable()
export class QueueTally {
  #unreadGroups = 0;
  #unreadReports = 0;
  #leftAlone = 0;
  #leftAloneReports = 0;
  #cancelled = 0;

  groupUnread(): void {
    this.#unreadGroups++;
    this.#unreadReports++;
  }

  groupRead(): void {
    this.#unreadGroups--;
  }

  leftAloneBegan(): void {
    this.#leftAlone++;
    this.#leftAloneReports++;
  }

  leftAloneEnded(): void {
    this.#leftAlone--;
  }

  taskCancelled(): void {
    this.#cancelled++;
  }

  stats(): QueueStats {
    return {
      unreadGroups: this.#unreadGroups,
      unreadReports: this.#unreadReports,
      leftAlone: this.#leftAlone,
      leftAloneReports: this.#leftAloneReports,
      cancelled: this.#cancelled,
    };
  }
}
