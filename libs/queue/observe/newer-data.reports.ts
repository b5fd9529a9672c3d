import { Transition, describeUses, unknownUses, type Clock } from '../../redis/index.js';
import { channels } from './queue.channels.js';
import { ORDER } from '../store/scripts/uses.fragment.js';
import type { QueueTally } from './queue.stats.js';

/** This release knows that feature, so its handler is what differs. */
const ORDERED =
  'its tasks run in the order of their keys now, and the handler of this process does not know: give the definition with the orderingKey to @TaskHandler';

export interface NewerDataReportsOptions {
  clock: Clock;
  tally: QueueTally;
  log: { warn(message: string): void };
}

/** Reports queues that this process leaves alone, because a newer release keeps data in them. One report per change. */
export class NewerDataReports {
  readonly #options: NewerDataReportsOptions;
  readonly #queues = new Map<string, Transition<string>>();

  constructor(options: NewerDataReportsOptions) {
    this.#options = options;
  }

  /** @param unknown the features that this release does not know, as text; undefined: none */
  saw(queue: string, group: string, unknown: string | undefined): void {
    const key = JSON.stringify([queue, group]);
    const known = this.#queues.get(key);
    if (unknown === undefined) {
      known?.end();
      return;
    }
    const transition = known ?? this.#transition(queue, group);
    this.#queues.set(key, transition);
    transition.begin(unknown);
  }

  #transition(queue: string, group: string): Transition<string> {
    const { clock, tally, log } = this.#options;
    const { newerData, newerDataOver } = channels;
    return new Transition<string>({
      clock,
      began: (unknown) => {
        const uses = unknownUses(unknown);
        tally.leftAloneBegan();
        const isOrdered = uses.length === 1 && uses[0]?.feature === ORDER;
        log.warn(`queue '${queue}' (group '${group}') is left alone: ${isOrdered ? ORDERED : describeUses(uses)}`);
        if (newerData.hasSubscribers) newerData.publish({ queue, group, uses });
      },
      ended: (lastedMs) => {
        tally.leftAloneEnded();
        log.warn(`queue '${queue}' (group '${group}') is worked on again: this release knows all its data`);
        if (newerDataOver.hasSubscribers) newerDataOver.publish({ queue, group, lastedMs });
      },
    });
  }
}
