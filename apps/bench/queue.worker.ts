/** A handler that does nothing, behind a gate, so that a backlog can be laid in before the clock starts. */
import { Injectable } from '@nestjs/common';
import { TaskHandler, defineQueue } from 'nestjs-sluice';
import type { PAYLOAD } from './raw-queue.js';

export const Tasks = defineQueue<typeof PAYLOAD>('tasks');

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
