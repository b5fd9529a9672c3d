import type { OutputOf } from '../queue-definition.js';
import type { Task } from './task.js';

/**
 * What the handler of a whole queue gets: a task of any of its names. `task.name` tells which one, and narrows `task.payload`.
 *
 * @example
 * @TaskHandler(Files)
 * async handle(task: TaskOf<typeof Files>): Promise<void> {
 *   if (task.name === 'import') await this.import(task.payload.url);
 * }
 */
export type TaskOf<Queue extends { readonly tasks: object }> = {
  [Name in keyof Queue['tasks'] & string]: Task<OutputOf<Queue['tasks'][Name]>> & { readonly name: Name };
}[keyof Queue['tasks'] & string];
