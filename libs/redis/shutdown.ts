/** One step of a shutdown. */
export type ShutdownStep = () => Promise<void> | void;

/**
 * The order in which an app leaves Redis. First, the parts that take new work stop and drain, while the app's own providers are
 * alive. Much later, the parts that hold something in Redis release it. The connections close last.
 *
 * Each phase runs once, however many modules ask for it; a step that fails is reported and does not stop the others.
 */
export class Shutdown {
  readonly #drains: ShutdownStep[] = [];
  readonly #closes: ShutdownStep[] = [];
  readonly #onError: (error: unknown) => void;
  #drained: Promise<void> | undefined;
  #closed: Promise<void> | undefined;

  constructor(onError: (error: unknown) => void) {
    this.#onError = onError;
  }

  /** Stop taking work and finish what runs. Called while everything the app injects is still alive. */
  onDrain(step: ShutdownStep): void {
    // An app may be closed while it boots. A part that starts after the drain is drained at once.
    if (this.#drained) this.#drained = this.#drained.then(() => this.#runAll([step]));
    else this.#drains.push(step);
  }

  /** Releases what is held in Redis. Called when the app has stopped serving. Connections are still open. */
  onClose(step: ShutdownStep): void {
    this.#closes.push(step);
  }

  drain(): Promise<void> {
    return (this.#drained ??= this.#runAll(this.#drains));
  }

  close(): Promise<void> {
    return (this.#closed ??= this.drain().then(() => this.#runAll(this.#closes)));
  }

  async #runAll(steps: readonly ShutdownStep[]): Promise<void> {
    const results = await Promise.allSettled(steps.map(async (step) => step()));
    for (const result of results) if (result.status === 'rejected') this.#onError(result.reason);
  }
}
