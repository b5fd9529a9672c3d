import { isUnavailable, type Clock, type Link } from '../../../redis/index.js';
import { isSluiceError } from '../../../weave/index.js';
import { promoteScript } from '../../store/scripts/promote.script.js';
import type { Worker } from '../worker.js';
import { DueLoop, type DueStep } from './due-loop.js';

export interface DelayedPromoterOptions {
  /** The worker on the stream that due tasks go to. */
  worker: Worker;
  link: Link;
  clock: Clock;
  log: { warn(message: string): void; error(message: string): void };
}

/** Tasks in one script: about a millisecond of the server's time. All other clients wait for it. */
const BATCH = 200;

/** Moves the delayed tasks of one stream into it when they are due. The script moves each task once, whichever process asks. */
export class DelayedPromoter {
  readonly loop: DueLoop;
  readonly #options: DelayedPromoterOptions;

  constructor(options: DelayedPromoterOptions) {
    this.#options = options;
    this.loop = new DueLoop({
      name: 'queue delays',
      clock: options.clock,
      step: () => this.#promote(),
      onError: (error) => {
        // The connection reports outages, and the next renewal reports data of a newer release.
        if (isUnavailable(error) || isSluiceError(error, 'SLUICE_NEWER_DATA')) return;
        options.log.warn(
          `the delayed tasks of queue '${options.worker.handler.queue}' cannot be promoted, and wait: ${String(error)}`,
        );
      },
    });
  }

  /** Moves the tasks that are due. */
  async #promote(): Promise<DueStep | undefined> {
    const { link, worker, log } = this.#options;
    // The stream is that of the group's own retries, and there are none. Or a newer release keeps data in the queue. A renewal tells
    // when this changes.
    if (!worker.needed || worker.lease.unknown !== undefined) return undefined;
    const { count, nextMs, broken } = await promoteScript.run(link, {
      keys: worker.keys,
      args: { limit: BATCH, unworked: 0, side: worker.keys.side },
    });
    for (const handle of broken) {
      log.error(`delayed task ${handle} of queue '${worker.handler.queue}' is a dead letter: it has no readable body`);
    }
    return { worked: count > 0, nextMs };
  }
}
