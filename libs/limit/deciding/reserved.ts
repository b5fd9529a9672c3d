import type { Clock } from '../../redis/index.js';
import type { LocalLimits } from '../local/local-limits.js';
import type { LimitStore } from '../store/limit.store.js';
import { checkUnits } from '../limit.options.js';
import type { Charge } from './batches.js';

/** Where units are charged or given back after a decision. */
export interface Adjusters {
  readonly store: LimitStore;
  readonly local: LocalLimits;
  readonly clock: Clock;
  /** The units of this key changed: refusals of it are forgotten. */
  readonly changed: () => void;
}

/** Units that one call took, until they are settled or cancelled. */
export class Reserved {
  readonly #charge: Charge;
  readonly #units: number;
  readonly #longestMs: number;
  readonly #adjusters: Adjusters;
  readonly #sinceMs: number;
  #isOpen = true;

  /** @param longestMs the longest time that the units count; after that there is nothing to give back */
  constructor(charge: Charge, units: number, longestMs: number, adjusters: Adjusters) {
    this.#charge = charge;
    this.#units = units;
    this.#longestMs = longestMs;
    this.#adjusters = adjusters;
    this.#sinceMs = adjusters.clock.monoMs();
  }

  async settle(used: number): Promise<void> {
    const units = checkUnits(used, 'settle') - this.#units;
    if (!this.#isOpen) return;
    this.#isOpen = false;
    const { by, keys, rules, atUs, endsUs } = this.#charge;
    const { store, local, clock, changed } = this.#adjusters;
    if (units === 0 || (units < 0 && !this.#canGiveBack())) return;
    changed();
    const request = { keys, rules, units, atUs: units < 0 ? atUs : 0, endsUs };
    if (by === 'local') {
      local.adjust(request, clock.monoMs() * 1_000);
      return;
    }
    await store.adjust({ ...request, nonce: store.nonce() });
    // A server that did not know the script has decided about other calls meanwhile, and may have refused them.
    changed();
  }

  cancel(): Promise<void> {
    return this.settle(0);
  }

  #canGiveBack(): boolean {
    return this.#charge.atUs > 0 && this.#adjusters.clock.monoMs() - this.#sinceMs < this.#longestMs;
  }
}
