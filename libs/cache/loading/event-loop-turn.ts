/**
 * Tells the turns of the event loop apart, for what must happen in one of them: within a turn, nothing that another process did
 * can become known.
 */
export class EventLoopTurn {
  #number = 0;
  #ends = false;

  /** Of this turn. */
  get number(): number {
    if (!this.#ends) {
      this.#ends = true;
      // Runs once the promise jobs of the turn are done, when what it sends leaves.
      process.nextTick(() => {
        this.#ends = false;
        this.#number++;
      });
    }
    return this.#number;
  }
}
