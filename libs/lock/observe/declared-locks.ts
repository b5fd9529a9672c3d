import { similarTo } from '../../weave/index.js';

/** How a scheduler calls a method, if it does. */
export interface Schedule {
  /** For `@Cron` with one run per tick: the cron time. */
  readonly oncePerTickOf?: string;
  /** For `@Interval`: the length of the interval, in milliseconds. */
  readonly everyMs?: number;
}

/** Whether two names differ only in numbers. Names such as `job-1` and `job-2` are alike on purpose. */
function isOtherNumber(name: string, other: string): boolean {
  return name.replace(/\d+/g, '') === other.replace(/\d+/g, '');
}

/** Writes into the log, when an app boots, which locks its `@WithLock` methods and its `lock.names` declare. */
export class DeclaredLocks {
  readonly #log: (message: string) => void;
  /** The lines that were logged. A class may be provided more than once. */
  readonly #said = new Set<string>();
  /** The locks that decorators name, without those whose name a function returns. */
  readonly #names = new Set<string>();

  constructor(log: (message: string) => void) {
    this.#log = log;
  }

  /** @param lock the name of the lock; undefined: a function returns a name for each call */
  say(method: string, lock: string | undefined, { oncePerTickOf, everyMs }: Schedule): void {
    if (lock !== undefined) this.#names.add(lock);
    const what = lock === undefined ? 'a lock, named for each call,' : `lock '${lock}'`;
    const line = `${what} is taken by ${method}`;
    if (this.#said.has(line)) return;
    this.#said.add(line);
    if (oncePerTickOf !== undefined) this.#log(`${line} (once per tick of ${oncePerTickOf})`);
    else this.#log(everyMs === undefined ? line : `${line} (every ${everyMs} ms)`);
  }

  /**
   * Says which entries of `lock.names` no decorator names. Calls such as `acquire` may use any name, so this is a warning only
   * where the entry looks like a typo.
   */
  sayUnnamed(configured: readonly string[], warn: (message: string) => void): void {
    const known = [...this.#names];
    const unnamed = configured.filter((name) => !this.#names.has(name));
    if (unnamed.length === 0) return;
    const meant = unnamed.flatMap((name) => similarTo(name, known).filter((each) => !isOtherNumber(name, each)));
    const of = unnamed.map((name) => `'${name}'`).join(', ');
    const line = `lock.names has options for ${of}, which no @WithLock names`;
    const all = `Locks that decorators name: ${known.join(', ') || 'none'}`;
    if (meant.length === 0) this.#log(`${line}: they are for calls such as locks.acquire. ${all}`);
    else warn(`${line}. Did you mean ${meant.map((name) => `'${name}'`).join(', ')}? ${all}`);
  }
}
