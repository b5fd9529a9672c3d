/** A resource, such as a lock, that stays held until an ongoing result has ended. */
export interface HeldResource {
  /** Aborts when the resource is lost. The reason is the error for the consumers of the result. */
  readonly signal: AbortSignal;
  /** How long the resource waits for the first consumer, in milliseconds. */
  readonly claimWithinMs: number;
  /** @throws the error for consumers, if the resource is lost or released */
  assertHeld(): void;
  /** Runs `body` in the async context that the method itself ran in. */
  run<R>(body: () => R): R;
  /** Releases the resource. Never rejects. */
  release(): Promise<unknown>;
  /** No consumer came within `claimWithinMs`: the resource counts as lost, and `signal` aborts. */
  abandon(): void;
  /** Calls `fire` once after `ms`, unless cancelled. */
  timer(ms: number, fire: () => void): () => void;
}

/**
 * Holds a resource while an ongoing result has consumers: from the first consumer to the end of the last one.
 *
 *     unclaimed ──enter──▶ in use ──the last consumer leaves──▶ ended
 *         └──no consumer within claimWithinMs, or lost──────────▶ ended
 *
 * Once ended, the resource is released, and `enter` throws.
 */
export class ResultHold {
  /** Resolves when the resource is released. Never rejects. */
  readonly ended: Promise<void>;
  readonly #resource: HeldResource;
  readonly #consumers = new Set<(reason: unknown) => void>();
  readonly #discard: (reason: unknown) => void;
  readonly #cancelClaim: () => void;
  #claimed = false;
  #end!: () => void;

  /** @param discard frees the result when no consumer ever came */
  constructor(resource: HeldResource, discard: (reason: unknown) => void) {
    this.#resource = resource;
    this.#discard = discard;
    this.ended = new Promise<void>((resolve) => (this.#end = resolve));
    this.#cancelClaim = resource.timer(resource.claimWithinMs, () => {
      if (!this.#claimed) resource.abandon();
    });
    resource.signal.addEventListener('abort', this.#onLost, { once: true });
  }

  /**
   * A consumer begins. The returned function ends it, and resolves once the resource is released if it was the last one.
   *
   * @throws the resource's error, if the resource is lost or released
   */
  enter(onLost: (reason: unknown) => void): () => Promise<void> {
    this.#resource.assertHeld();
    this.#claimed = true;
    this.#cancelClaim();
    this.#consumers.add(onLost);
    return () => {
      if (this.#consumers.delete(onLost) && this.#consumers.size === 0) void this.#release();
      return this.#consumers.size === 0 ? this.ended : Promise.resolve();
    };
  }

  /** Releases the resource of a result that no consumer will get. */
  drop(): void {
    if (this.#claimed) return;
    this.#cancelClaim();
    void this.#release();
  }

  readonly #onLost = (): void => {
    const { reason } = this.#resource.signal as { reason: unknown };
    this.#cancelClaim();
    if (!this.#claimed) this.#discard(reason);
    for (const lost of [...this.#consumers]) lost(reason);
    this.#consumers.clear();
    void this.#release();
  };

  async #release(): Promise<void> {
    this.#resource.signal.removeEventListener('abort', this.#onLost);
    await this.#resource.release();
    this.#end();
  }
}
