import { Loop, isUnavailable, type Clock, type Link } from '../../redis/index.js';
import { isSluiceError } from '../../weave/index.js';
import type { QueueKeys } from '../store/queue.keys.js';
import { promoteScript } from '../store/scripts/promote.script.js';

export interface DelayedWatchOptions {
  link: Link;
  clock: Clock;
  log: { warn(message: string): void };
}

/** Tasks in one script. */
const BATCH = 200;
/** How often the watch asks Redis while a Sluice worker lives, which promotes the tasks, or while nothing is due. */
const LOOK_MS = 10_000;

interface Watched {
  readonly loop: Loop;
  dueMs: number;
  /** Whether the log says that a newer release keeps data in this queue. */
  leftAlone?: boolean;
}

/**
 * Moves delayed tasks into their queue when they are due, where no Sluice worker does: consumers of other software read the
 * stream, but do not know delayed tasks. A process watches the queues to which it has published delayed tasks, until none is
 * left there. The script moves each task once, whatever other processes do.
 */
export class DelayedWatch {
  readonly #options: DelayedWatchOptions;
  readonly #watched = new Map<string, Watched>();
  #stopped = false;

  constructor(options: DelayedWatchOptions) {
    this.#options = options;
  }

  /** A task of this queue was published. It is due in `delayMs`. */
  expect(queue: string, keys: QueueKeys, delayMs: number): void {
    if (this.#stopped) return;
    const dueMs = this.#options.clock.monoMs() + delayMs;
    const known = this.#watched.get(queue);
    if (known !== undefined && known.dueMs <= dueMs) return;
    const watched = known ?? { loop: this.#loop(queue, keys), dueMs };
    watched.dueMs = dueMs;
    this.#watched.set(queue, watched);
    watched.loop.start();
    watched.loop.wake();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all([...this.#watched.values()].map(({ loop }) => loop.stop()));
  }

  #loop(queue: string, keys: QueueKeys): Loop {
    const { clock, log } = this.#options;
    return new Loop({
      name: 'delayed tasks of publishers',
      clock,
      turn: () => this.#turn(queue, keys),
      onError: (error) => {
        // The connection reports outages.
        if (!isUnavailable(error))
          log.warn(`the delayed tasks of queue '${queue}' cannot be promoted: ${String(error)}`);
      },
    });
  }

  async #turn(queue: string, keys: QueueKeys): Promise<number | undefined> {
    const { link, clock, log } = this.#options;
    const watched = this.#watched.get(queue);
    if (watched === undefined) return undefined;
    const restMs = watched.dueMs - clock.monoMs();
    if (restMs > 0) return Math.min(LOOK_MS, Math.ceil(restMs));
    // A publish may come while the script is under way. The script's reply must not replace an earlier due time.
    watched.dueMs = Infinity;
    let nextMs: number | undefined = 0;
    try {
      const { nextMs: dueInMs, isWorkedOn } = await promoteScript.run(link, {
        keys,
        args: { limit: BATCH, unworked: 1, side: keys.side },
      });
      nextMs = isWorkedOn ? LOOK_MS : dueInMs;
    } catch (error) {
      if (!isSluiceError(error, 'SLUICE_NEWER_DATA')) throw error;
      // A process of the newer release promotes the tasks.
      nextMs = LOOK_MS;
      if (watched.leftAlone !== true)
        log.warn(`the delayed tasks of queue '${queue}' are not promoted here: ${error.message}`);
      watched.leftAlone = true;
    } finally {
      watched.dueMs = Math.min(watched.dueMs, clock.monoMs() + (nextMs ?? Infinity));
    }
    if (watched.dueMs < Infinity) return Math.min(LOOK_MS, Math.max(0, Math.ceil(watched.dueMs - clock.monoMs())));
    // Nothing is delayed any more.
    this.#watched.delete(queue);
    return undefined;
  }
}
