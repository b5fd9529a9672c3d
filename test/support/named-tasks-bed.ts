import { Injectable, Module, type Type } from '@nestjs/common';
import {
  TaskHandler,
  defineQueue,
  payload,
  type SluiceQueueModuleOptions,
  type Task,
  type TaskOf,
} from 'nestjs-sluice/queue';
import { z } from 'zod';
import type { QueueApp } from './queue-app.js';
import { QueueBed } from './queue-bed.js';
import { until } from './until.js';

export interface Import {
  readonly url: string;
}

/** The named tasks of the specs. */
export const Files = defineQueue('files', {
  tasks: { import: payload<Import>(), export: { schema: z.object({ page: z.number() }) }, clean: payload<null>() },
});
export const { import: Imports, export: Exports, clean: Cleans } = Files.tasks;

/** Handlers of `import` and `export`, apart. `run` is told which method got the task. */
export function handlersApart(run: (task: Task, method: 'import' | 'export') => unknown = () => {}): Type {
  @Injectable()
  class Handlers {
    @TaskHandler(Imports)
    async import(task: Task<Import>): Promise<void> {
      await run(task, 'import');
    }

    @TaskHandler(Exports, { concurrency: 2 })
    async export(task: Task<{ page: number }>): Promise<void> {
      await run(task, 'export');
    }
  }
  return Handlers;
}

/** Handles all names with one method. */
export function wholeHandler(run: (task: TaskOf<typeof Files>) => unknown, concurrency?: number): Type {
  @Injectable()
  class Handlers {
    @TaskHandler(Files, concurrency === undefined ? {} : { concurrency })
    async handle(task: TaskOf<typeof Files>): Promise<void> {
      await run(task);
    }
  }
  return Handlers;
}

export async function nothingIsLeft(queue: QueueApp['queue']): Promise<void> {
  await until(
    async () => {
      const { waiting, running, delayed } = await queue.counts(Files);
      return waiting + running + delayed === 0;
    },
    { what: 'nothing is left' },
  );
}

/** A {@link QueueBed} whose apps have these classes of handlers. */
export class NamedTasksBed extends QueueBed {
  with(handlers: Type[] = [], queue: SluiceQueueModuleOptions = {}): Promise<QueueApp> {
    @Module({ providers: handlers })
    class Handlers {}
    return this.start({ imports: [Handlers], queue: { leaseMs: 300, ...queue } });
  }
}
