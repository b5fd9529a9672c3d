import { EncodedCommand, type Link } from '../../redis/index.js';
import { LOOK_NOWHERE, RENEW_MOST, notedKeys, type RenewedKeys } from '../store/scripts/renew-all.script.js';
import type { Worker } from './worker.js';

/** The queues of one call. */
export class RenewalPortion {
  readonly workers: readonly Worker[];
  readonly keys: readonly RenewedKeys[];
  readonly #questions = new Map<boolean, EncodedCommand>();

  constructor(workers: readonly Worker[]) {
    this.workers = workers;
    this.keys = workers.map(({ keys, retries, scheduleDueKey }) => ({
      ...{ keys, scheduleDueKey, retries: retries?.keys ?? keys },
    }));
  }

  /** Whether any of {@link notedKeys} is there. It is the same from one renewal to the next. */
  question(looks: number): EncodedCommand {
    const isLook = looks !== LOOK_NOWHERE;
    let question = this.#questions.get(isLook);
    if (question === undefined) {
      question = new EncodedCommand('exists', notedKeys(this.keys, looks));
      this.#questions.set(isLook, question);
    }
    return question;
  }
}

/** Splits the workers of a process into calls, and keeps what the calls have in common while the workers stay the same. */
export class RenewalPortions {
  readonly #link: Link;
  #workers: readonly Worker[] = [];
  #knewSlots: boolean | undefined;
  #portions: readonly RenewalPortion[] = [];

  constructor(link: Link) {
    this.#link = link;
  }

  of(workers: readonly Worker[]): readonly RenewalPortion[] {
    const { slots } = this.#link;
    const isKnown = workers.length === this.#workers.length && workers.every((each, i) => each === this.#workers[i]);
    if (isKnown && slots.knowsSlots === this.#knewSlots) return this.#portions;
    this.#workers = workers;
    this.#knewSlots = slots.knowsSlots;
    this.#portions = slots
      .split(workers, ({ keys }) => keys.alive)
      .flatMap((list) => [...slices(list)].map((slice) => new RenewalPortion(slice)));
    return this.#portions;
  }
}

function* slices(workers: readonly Worker[]): Generator<readonly Worker[]> {
  for (let i = 0; i < workers.length; i += RENEW_MOST) yield workers.slice(i, i + RENEW_MOST);
}
