import { Injectable } from '@nestjs/common';
import type { Worker } from '../worker.js';

/** The workers of this process, and how to stop their reads or to let them go on. */
export interface LocalWork {
  readonly workers: readonly Worker[];
  haltChanged(worker: Worker): void;
  log(message: string): void;
}

/** The queues that are paused in this process alone. Nothing of this is in Redis: a new start of the process begins without. */
@Injectable()
export class LocalPauses {
  readonly #paused = new Set<string>();
  #work: LocalWork | undefined;

  /** The workers have been made. */
  attach(work: LocalWork): void {
    this.#work = work;
    for (const queue of this.#paused) this.#tell(queue, true);
  }

  /** Returns whether this changed anything. */
  set(queue: string, on: boolean): boolean {
    if (this.#paused.has(queue) === on) return false;
    if (on) this.#paused.add(queue);
    else this.#paused.delete(queue);
    this.#tell(queue, on);
    return true;
  }

  /** Resolves when this process runs nothing of the queue, and Redis has confirmed what it has finished. */
  async idle(queue: string): Promise<void> {
    await Promise.all(this.#workersOn(queue).map((worker) => worker.finished().then(() => worker.settled())));
  }

  #tell(queue: string, on: boolean): void {
    const workers = this.#workersOn(queue);
    for (const worker of workers) {
      worker.lease.pauseHere(on);
      this.#work?.haltChanged(worker);
    }
    if (workers.length > 0) this.#work?.log(`queue '${queue}' ${on ? 'is paused' : 'goes on'} in this process`);
  }

  #workersOn(queue: string): Worker[] {
    return this.#work?.workers.filter(({ handler }) => handler.queue === queue) ?? [];
  }
}
