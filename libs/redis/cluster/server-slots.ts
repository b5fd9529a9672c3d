import { slotOf } from './slot.js';

/**
 * Whether a server refuses commands and scripts whose keys are in several slots. A server in cluster mode does, and so do proxies
 * in front of a Cluster. One server without cluster mode does not, nor does a Sentinel group.
 *
 * {@link SlotProbe} learns it on every connect. **Until it is known, the server counts as one that knows slots:** every server
 * accepts one call per slot. Work on many names is split by {@link split}:
 *
 *   knows no slots: [a, b, c]          one call with the whole list
 *   knows slots:    [a, c], [b]        one call per slot. Calls that are made in one turn leave in one write
 *
 * Scripts are told as well: see `oneServer` in `defineScript`.
 */
export class ServerSlots {
  #knows: boolean | undefined;
  readonly #learned = new Set<() => void>();

  /** False once the server is known to take keys of several slots in one call. */
  get knowsSlots(): boolean {
    return this.#knows ?? true;
  }

  /** Splits the items of one call into the lists that one call may have. */
  split<T>(items: readonly T[], keyOf: (item: T) => string): readonly (readonly T[])[] {
    if (items.length === 0) return [];
    if (!this.knowsSlots || items.length === 1) return [items];
    const lists = new Map<number, T[]>();
    for (const item of items) {
      const slot = slotOf(keyOf(item));
      const list = lists.get(slot);
      if (list === undefined) lists.set(slot, [item]);
      else list.push(item);
    }
    return [...lists.values()];
  }

  /** The server was asked. */
  learn(knows: boolean): void {
    this.#knows = knows;
    for (const resolve of this.#learned) resolve();
    this.#learned.clear();
  }

  /** The next connect may lead to another server. */
  forget(): void {
    this.#knows = undefined;
  }

  /** Resolves when the server has been asked. */
  async whenLearned(): Promise<void> {
    if (this.#knows === undefined) await new Promise<void>((resolve) => this.#learned.add(resolve));
  }
}
