/** A load lock that this process was given. */
interface RawLock {
  readonly token: string;
  readonly untilMs: number;
}

/** How long a lock is remembered after its end. Ten minutes after its end, the process that loads is taken for dead. */
const REMEMBERED_MS = 600_000;
const LOCKS_MAX = 100_000;
/** The most characters of the keys of all locks: a few MB. */
const CHARS_MAX = 4_000_000;

/**
 * The load locks of `cache.raw` that this process was given, the newest of each key. A lock that was not used is remembered for a
 * while after its end: a `set` that comes too late must be refused, not taken for a plain write. The number of locks is bounded.
 * The oldest locks are forgotten first.
 */
export class RawLocks {
  readonly #locks = new Map<string, RawLock>();
  #chars = 0;

  get size(): number {
    return this.#locks.size;
  }

  add(key: string, lock: RawLock, nowMs: number): void {
    this.take(key);
    this.#locks.set(key, lock);
    this.#chars += key.length;
    for (const [other, { untilMs }] of this.#locks) {
      const isFull = this.#locks.size > LOCKS_MAX || this.#chars > CHARS_MAX;
      if (!isFull && untilMs + REMEMBERED_MS > nowMs) break;
      this.take(other);
    }
  }

  /** The token of the key's lock. The lock is then forgotten. Undefined if there is no lock. */
  take(key: string): string | undefined {
    const lock = this.#locks.get(key);
    if (this.#locks.delete(key)) this.#chars -= key.length;
    return lock?.token;
  }
}
