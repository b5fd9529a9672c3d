/** A handler that does nothing, behind a gate, so that a backlog can be laid in before the clock starts. */
import { Injectable } from '@nestjs/common';
import { TaskHandler, defineQueue, type Task } from 'nestjs-sluice';
import type { PAYLOAD } from './raw-queue.js';

export const Tasks = defineQueue<typeof PAYLOAD>('tasks');

export const Batched = defineQueue<typeof PAYLOAD>('batched');

export class Gate {
  #opened: Promise<void> | undefined;
  #open = (): void => {};
  /** How many handlers have begun since the gate was shut. */
  handled = 0;

  shut(): void {
    this.handled = 0;
    this.#opened = new Promise((resolve) => {
      this.#open = resolve;
    });
  }

  open(): void {
    this.#opened = undefined;
    this.#open();
  }

  /** What each task does. */
  readonly pass = async (): Promise<void> => {
    this.handled++;
    if (this.#opened) await this.#opened;
  };
}

@Injectable()
export class TaskWorker {
  readonly gate = new Gate();

  @TaskHandler(Tasks)
  async handle(): Promise<void> {
    await this.gate.pass();
  }
}

/** Both kinds of handlers do nothing but count. */
@Injectable()
export class BatchWorker {
  readonly single = new Gate();
  readonly batched = new Gate();

  @TaskHandler(Tasks)
  async handle(): Promise<void> {
    await this.single.pass();
  }

  @TaskHandler(Batched, { batch: { max: 100 } })
  handleMany(tasks: readonly Task<typeof PAYLOAD>[]): void {
    this.batched.handled += tasks.length;
  }
}
