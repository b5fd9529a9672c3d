import type { HandlerOptions, Task } from 'nestjs-sluice/queue';
import type { QueueApp, QueueAppOptions } from './queue-app.js';
import { QueueBed } from './queue-bed.js';

export type Run = (task: Task<number>) => unknown;

/** A counter of the app, in the slot of the queue `tasks`. */
export const COUNT = '{tasks}:count';
/** A queue in the slot of `tasks`. Nobody handles it, unless a spec does. */
export const MAILS = '{tasks}.mails';

/** Notes one write and one mail. */
export function note(task: Task<number>): void {
  task.onAck([['incrby', COUNT, task.payload]]);
  task.next(MAILS, task.payload);
}

/** Apps whose handlers note something, and what has come of it. */
export class NotesBed extends QueueBed {
  /** A process that handles `tasks`. */
  readonly handle = (
    run: Run,
    options: HandlerOptions = {},
    more: Omit<QueueAppOptions, 'url'> = {},
  ): Promise<QueueApp> => this.start({ handlers: { tasks: { run, options } }, ...more });

  readonly count = async (): Promise<number> => Number(await this.admin.get(COUNT));

  /** The entries of the mails, oldest first. */
  readonly mails = async (): Promise<Record<string, string>[]> => {
    const rows = await this.admin.xrange(MAILS, '-', '+');
    return rows.map(([id, fields]) => ({
      id,
      ...Object.fromEntries(fields.flatMap((name, i) => (i % 2 === 0 ? [[name, fields[i + 1] ?? '']] : []))),
    }));
  };
}
