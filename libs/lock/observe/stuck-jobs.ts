import { Transition, type Clock } from '../../redis/index.js';
import { describeHolder } from '../lock.errors.js';
import type { LockSkippedMessage } from './lock.channels.js';

export interface LockLogger {
  log(message: string): void;
  warn(message: string): void;
}

/** While this many jobs are skipped, no further one is reported: the names of their locks may be made of data. */
const JOBS_MAX = 1_000;

type Job = Pick<LockSkippedMessage, 'name' | 'method'>;

/**
 * The jobs whose ticks are skipped because their lock is busy. A tick that another process runs is not counted here. So such a
 * job runs nowhere: its last run has not ended, or other code uses the same lock. The log says so once, and once more when the
 * job runs again.
 */
export class StuckJobs {
  readonly #clock: Clock;
  readonly #logger: LockLogger;
  readonly #stuck = new Map<string, Transition<LockSkippedMessage>>();

  constructor(clock: Clock, logger: LockLogger) {
    this.#clock = clock;
    this.#logger = logger;
  }

  skipped(message: LockSkippedMessage): void {
    const id = idOf(message);
    let stuck = this.#stuck.get(id);
    if (stuck === undefined) {
      if (this.#stuck.size >= JOBS_MAX) return;
      this.#stuck.set(id, (stuck = this.#transition(message)));
    }
    stuck.begin(message);
  }

  /** A tick of the job runs, here or in another process. */
  ran(job: Job): void {
    if (this.#stuck.size === 0) return;
    const id = idOf(job);
    this.#stuck.get(id)?.end();
    this.#stuck.delete(id);
  }

  #transition({ name, method = `oncePerTick('${name}')` }: Job): Transition<LockSkippedMessage> {
    return new Transition<LockSkippedMessage>({
      clock: this.#clock,
      began: ({ holder }) => {
        this.#logger.warn(`${method} skips its ticks while lock '${name}' is busy: ${describeHolder(holder)}`);
      },
      ended: (lastedMs, seen) => {
        this.#logger.log(`${method} runs again: it has skipped ${seen} ticks in ${Math.round(lastedMs)} ms`);
      },
    });
  }
}

function idOf({ name, method }: Job): string {
  return `${method ?? ''} ${name}`;
}
