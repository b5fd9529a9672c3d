import type { Handler } from '../../../queue/handlers/handler.registry.js';
import type { AckWrite, Task } from '../../../queue/index.js';
import { TaskNotes } from '../../../queue/notes/task-notes.js';
import type { TestingTasks, Waiting } from '../testing-tasks.js';

/**
 * What the handlers of a test note for acknowledgements, by the rules of the real queue. Tasks are published. Writes are listed: there is
 * no Redis that could refuse one because of what its key holds.
 */
export class TestingNotes {
  /** The writes that went with an acknowledgement, in order. */
  readonly written: AckWrite[] = [];
  readonly #tasks: TestingTasks;
  readonly #open = new WeakMap<Waiting, TaskNotes>();

  constructor(tasks: TestingTasks) {
    this.#tasks = tasks;
  }

  /** The task as its handler gets it. Each run has notes of its own. */
  task({ noting }: Handler, waiting: Waiting, signal: AbortSignal): Task {
    const { queue, maxPayloadBytes, hasKeys = false, trace } = noting;
    // There are no slots in a test.
    const notes = new TaskNotes({ queue, maxPayloadBytes, hasKeys, trace });
    this.#open.set(waiting, notes);
    return this.#tasks.events.taskOf(waiting, signal, notes);
  }

  /** The task is acknowledged. Rejects if a schema refuses what follows: then the run has failed. */
  async acknowledged(waiting: Waiting): Promise<void> {
    const notes = this.end(waiting);
    if (notes === undefined || notes.isEmpty) return;
    await notes.checked();
    this.written.push(...notes.noted.writes);
    for (const { queue, payload, options } of notes.sent) this.#tasks.add(queue, payload, options);
  }

  /** The run has ended: what was noted and not acknowledged is dropped. */
  end(waiting: Waiting): TaskNotes | undefined {
    const notes = this.#open.get(waiting);
    notes?.close();
    this.#open.delete(waiting);
    return notes;
  }
}
