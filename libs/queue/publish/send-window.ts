/**
 * How many publishes are on their way at one time, at most: far more than a connection needs to be busy, and far fewer than Redis
 * handles within a deadline.
 */
const MOST = 2_000;

/**
 * Limits how many publishes of this process are on their way. A command's deadline counts from when it is sent. If a hundred
 * thousand were sent at once, they would wait for each other until the deadline is over, although Redis takes them all. A publish
 * that waits here was not sent.
 */
export class SendWindow {
  #sent = 0;
  #waiting: (() => void)[] = [];
  /** The first of `#waiting` that still waits. */
  #first = 0;

  /** Enters if there is room. False: there is none, and the caller has to wait for a `turn`. */
  enter(): boolean {
    if (this.#sent >= MOST) return false;
    this.#sent++;
    return true;
  }

  /** Resolves in the order of the calls. The caller has then entered. */
  turn(): Promise<void> {
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  /** An answer has come: the next publish may be sent. */
  leave(): void {
    const next = this.#waiting[this.#first];
    if (next === undefined) {
      this.#sent--;
      return;
    }
    this.#first++;
    if (this.#first === this.#waiting.length) {
      this.#waiting = [];
      this.#first = 0;
    }
    next();
  }
}
