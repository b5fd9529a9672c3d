import { isUnavailable, type Inbox, type Link } from '../../../redis/index.js';
import { channels, type TaskCancelledMessage } from '../../observe/queue.channels.js';
import type { QueueTally } from '../../observe/queue.stats.js';
import { cancellationsScript } from '../../store/scripts/cancel.script.js';
import type { Worker } from '../worker.js';

export interface CancellationsOptions {
  link: Link;
  inbox: Inbox;
  consumer: string;
  workers: readonly Worker[];
  tally: QueueTally;
  log: { log(message: string): void; warn(message: string): void };
}

/** Marks in one script. */
const PAGE = 500;

/**
 * Aborts the tasks of this process that are cancelled. A message tells at once. If it is lost, a renewal tells that there are marks, and
 * they are looked at.
 */
export class Cancellations {
  readonly #options: CancellationsOptions;
  readonly #looking = new Set<Worker>();

  constructor(options: CancellationsOptions) {
    this.#options = options;
    options.inbox.on('queue:cancelled', ([stream, group, id = '']) => {
      for (const worker of options.workers) {
        if (worker.keys.stream === stream && worker.handler.options.group === group) worker.cancel(id);
      }
    });
  }

  /** There are marks on the worker's stream. */
  async look(worker: Worker): Promise<void> {
    // The next renewal tells it again.
    if (this.#looking.has(worker)) return;
    this.#looking.add(worker);
    const { link, consumer, log } = this.#options;
    const { stream, cancelled } = worker.keys;
    const { group } = worker.handler.options;
    try {
      for (let from: number | undefined = 0; from !== undefined;) {
        const args = { group, consumer, from, count: PAGE };
        const { ids, next }: { ids: readonly string[]; next: number | undefined } = await cancellationsScript.run(
          link,
          {
            keys: { stream, cancelled },
            args,
          },
        );
        for (const id of ids) worker.cancel(id);
        from = next;
      }
    } catch (error) {
      if (!isUnavailable(error)) log.warn(`cancelled tasks of '${stream}' are looked for again: ${String(error)}`);
    } finally {
      this.#looking.delete(worker);
    }
  }

  /** Redis has dropped a cancelled task. */
  dropped(about: TaskCancelledMessage): void {
    const { tally, log } = this.#options;
    tally.taskCancelled();
    log.log(`task ${about.id} of queue '${about.queue}' was cancelled, and is dropped`);
    if (channels.cancelled.hasSubscribers) channels.cancelled.publish(about);
  }
}
