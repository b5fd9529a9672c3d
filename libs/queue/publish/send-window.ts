/**
 * What is on its way at one time, at most. Far more than a connection needs to be busy, far less than Redis does in a deadline.
 */
const MOST = 2_000;

/**
 * Limits how many publishes of this process are on their way. A command's deadline runs from its sending: a hundred thousand
 * that are sent at once would wait for each other until it is over, though Redis takes them all. What waits here was not sent.
 */
export class SendWindow {
  #sent = 0;
  #waiting: (() => void)[] = [];
  /** The first of `#waiting` that still waits. */
  #first = 0;

  /** False: wait for a `turn`. */
  enter(): boolean {
    if (this.#sent >= MOST) return false;
    this.#sent++;
    return true;
  }

  /** Resolves in the order of the calls; the caller has entered then. */
  turn(): Promise<void> {
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  /** An answer has come: the next one may go. */
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
