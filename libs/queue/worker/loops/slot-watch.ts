import { Loop, isUnavailable, type Clock, type Link } from '../../../redis/index.js';
import { waitingScript } from '../../store/scripts/waiting.script.js';
import type { QueueReader } from './queue-reader.js';

export interface SlotWatchOptions {
  readonly readers: readonly QueueReader[];
  readonly link: Link;
  readonly clock: Clock;
  /** How often, in milliseconds. */
  readonly everyMs: number;
  readonly log: { warn(message: string): void };
}

/**
 * Looks for tasks in the streams of readers that have no seat, with one script per reader, all in one write. It is not needed, and
 * not made, as long as there are seats for all readers.
 */
export class SlotWatch {
  readonly #options: SlotWatchOptions;
  readonly #loop: Loop;

  constructor(options: SlotWatchOptions) {
    this.#options = options;
    this.#loop = new Loop({
      name: 'queues without a socket',
      clock: options.clock,
      turn: () => this.#turn(),
      onError: (error) => {
        // The connection reports outages.
        if (!isUnavailable(error)) options.log.warn(`looking for tasks failed, and goes on: ${String(error)}`);
      },
    });
  }

  start(): void {
    this.#loop.start();
  }

  stop(): Promise<void> {
    return this.#loop.stop();
  }

  async #turn(): Promise<number> {
    const watched = this.#options.readers.filter((reader) => reader.isWatched);
    const looks = watched.map(async (reader) => {
      const restKeys = reader.workers.filter((worker) => worker.mayRead).map(({ keys }) => keys.stream);
      if (restKeys.length === 0) return;
      const answer = await waitingScript.run(this.#options.link, { keys: {}, restKeys, args: { group: reader.group } });
      if (answer.includes(true)) reader.tasksWait();
    });
    await Promise.all(looks);
    return this.#options.everyMs;
  }
}
