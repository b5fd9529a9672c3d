/** How a scheduler calls a method, if it does. */
export interface Schedule {
  /** Of `@Cron` with one run per tick: when. */
  readonly oncePerTickOf?: string;
  /** Of `@Interval`: its length, in milliseconds. */
  readonly everyMs?: number;
}

/** Writes one log line for each locked method when the app boots. */
export class DeclaredLocks {
  readonly #log: (message: string) => void;
  /** A class may be provided more than once. */
  readonly #said = new Set<string>();

  constructor(log: (message: string) => void) {
    this.#log = log;
  }

  /** @param lock its name; undefined: a function makes it of each call */
  say(method: string, lock: string | undefined, { oncePerTickOf, everyMs }: Schedule): void {
    const what = lock === undefined ? 'a lock, named for each call,' : `lock '${lock}'`;
    const line = `${what} is taken by ${method}`;
    if (this.#said.has(line)) return;
    this.#said.add(line);
    if (oncePerTickOf !== undefined) this.#log(`${line} (once per tick of ${oncePerTickOf})`);
    else this.#log(everyMs === undefined ? line : `${line} (every ${everyMs} ms)`);
  }
}
