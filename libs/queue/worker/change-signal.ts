/** Waits for a condition that is checked whenever something has changed. Costs nothing while no call waits. */
export class ChangeSignal {
  #waiting: (() => void)[] = [];

  /** Something has changed. */
  notify(): void {
    if (this.#waiting.length === 0) return;
    for (const resolve of this.#waiting.splice(0)) resolve();
  }

  /** Resolves once `condition` holds. */
  async until(condition: () => boolean): Promise<void> {
    while (!condition()) await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }
}
