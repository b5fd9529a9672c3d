/** Tries to give something back. Whoever has it unanswered calls `confirmed` should the answer come later. */
export type Release<T = unknown> = (confirmed: () => void) => Promise<T>;

/** As many as are remembered. More in one outage, and the oldest are left to end with their leases. */
const MOST = 10_000;

/**
 * What this process holds in Redis, or may hold, and has no use for: leases, slots, places in queues. Redis confirmed none of
 * it to be given back; that is tried again with every new connection, so that nobody waits for the end of a lease that nobody
 * uses.
 *
 * Nothing is forgotten by time: a Redis that hung grants what it was asked for whenever it goes on. Whoever is given back
 * names its token, which is granted only once: what is tried too often, or too late, changes nothing.
 */
export class ReleaseRetries {
  readonly #owed = new Map<string, Release>();

  /** Tries now; if Redis does not confirm it, again with the next connection. */
  async now<T>(name: string, giveBack: Release<T>): Promise<T> {
    try {
      const reply = await giveBack(() => {
        this.settle(name);
      });
      this.settle(name);
      return reply;
    } catch (error) {
      this.later(name, giveBack);
      throw error;
    }
  }

  /** Tries with the next connection, unless it is settled before. */
  later(name: string, giveBack: Release): void {
    this.#owed.set(name, giveBack);
    for (const oldest of this.#owed.keys()) {
      if (this.#owed.size <= MOST) return;
      this.#owed.delete(oldest);
    }
  }

  /** There is nothing to be given back under this name any more. */
  settle(name: string): void {
    this.#owed.delete(name);
  }

  /** Tries all. What fails waits for the next connection. */
  async retry(): Promise<void> {
    await Promise.allSettled([...this.#owed].map(([name, giveBack]) => this.now(name, giveBack)));
  }
}
