import { AsyncLocalStorage } from 'node:async_hooks';
import { describe, expect, it } from '@jest/globals';
import { Inject, Injectable, Module, Scope } from '@nestjs/common';
import { REQUEST } from '@nestjs/core';
import { batchModule } from '../../../test/support/batch-handler.js';
import { QueueBed } from '../../../test/support/queue-bed.js';
import { until } from '../../../test/support/until.js';
import { BatchTask, TaskHandler, TaskSchedule, defineQueue, payload, type Task, type TaskOf } from '../index.js';

/** Longer than any test. */
const LONG_MS = 3_600_000;
const Files = defineQueue('files', { tasks: { import: payload<number>(), export: payload<number>() } });
const bed = new QueueBed();
const namesOf = (tasks: readonly Task[]): string =>
  tasks.map(({ name, payload: of }) => `${name ?? ''}${String(of)}`).join(' ');

describe('batches', () => {
  it('of named tasks have tasks of one name, which task.name tells', async () => {
    const batches: string[] = [];
    @Injectable()
    class Handlers {
      @TaskHandler(Files, { batch: { max: 2, waitMs: LONG_MS } })
      handle(tasks: readonly TaskOf<typeof Files>[]): void {
        batches.push(namesOf(tasks));
      }
    }
    @Module({ providers: [Handlers] })
    class App {}
    const { queue } = await bed.start({ imports: [App] });
    await queue.publish(Files.tasks.import, 1);
    await queue.publish(Files.tasks.export, 2);
    await queue.publish(Files.tasks.import, 3);
    await queue.publish(Files.tasks.export, 4);
    await until(() => batches.length === 2, { what: 'both names ran' });
    expect(batches.sort()).toEqual(['export2 export4', 'import1 import3']);
  });

  it('of one name that wait do not keep out the others, although all names share one place', async () => {
    const ran: string[] = [];
    @Injectable()
    class Handlers {
      @TaskHandler(Files.tasks.import, { batch: { max: 10, waitMs: LONG_MS } })
      import(tasks: readonly Task<number>[]): void {
        ran.push(`import ${namesOf(tasks)}`);
      }

      @TaskHandler(Files.tasks.export)
      export(task: Task<number>): void {
        ran.push(`export ${task.payload}`);
      }
    }
    @Module({ providers: [Handlers] })
    class App {}
    const { queue } = await bed.start({ imports: [App], queue: { handlers: { files: { concurrency: 1 } } } });
    await queue.publishMany(Files.tasks.import, [1, 2, 3]);
    await until(async () => (await queue.counts(Files.tasks.import)).running === 3, { what: 'they wait' });
    await queue.publishMany(Files.tasks.export, [1, 2]);
    await until(() => ran.length === 2, { what: 'the other name ran' });
    expect(ran).toEqual(['export 1', 'export 2']);
    expect(await queue.counts(Files.tasks.import)).toMatchObject({ running: 3 });
  });

  it('are formed in each group, and retries of a group rejoin as single tasks', async () => {
    const ran: Record<string, string[]> = { a: [], b: [] };
    @Injectable()
    class Handlers {
      @TaskHandler('tasks', { group: 'a', batch: { max: 10 } })
      a(tasks: readonly Task<number>[]): void {
        for (const task of tasks) {
          ran['a']!.push(`${task.payload} ${task.attempt}`);
          if (task.payload === 2 && task.attempt === 1) task.fail(new Error('not yet'));
        }
      }

      @TaskHandler('tasks', { group: 'b' })
      b(task: Task<number>): void {
        ran['b']!.push(`${task.payload} ${task.attempt}`);
      }
    }
    @Module({ providers: [Handlers] })
    class App {}
    const { queue } = await bed.start({ imports: [App] });
    await queue.publishMany('tasks', [1, 2, 3]);
    await until(() => ran['a']!.length === 4 && ran['b']!.length === 3, { what: 'both groups are done' });
    expect(ran['a']).toEqual(['1 1', '2 1', '3 1', '2 2']);
    expect(ran['b']).toEqual(['1 1', '2 1', '3 1']);
  });

  it('get an object of a request-scoped provider each, whose REQUEST is the array', async () => {
    const seen: unknown[] = [];
    @Injectable({ scope: Scope.REQUEST })
    class Handlers {
      constructor(@Inject(REQUEST) readonly request: unknown) {}

      @TaskHandler('tasks', { batch: { max: 10 } })
      handle(tasks: readonly Task<number>[]): void {
        seen.push(this.request === tasks, tasks.length);
      }
    }
    @Module({ providers: [Handlers] })
    class App {}
    const { queue } = await bed.start({ imports: [App] });
    await queue.publish('tasks', 1);
    await bed.untilSettled();
    expect(seen).toEqual([true, 1]);
  });

  it('have an asynchronous context of their own, and run in the trace of no publisher', async () => {
    const storage = new AsyncLocalStorage<number>();
    const seen: unknown[] = [];
    let traced = 0;
    const handler = batchModule('tasks', { batch: { max: 1 }, concurrency: 1 }, (tasks) => {
      seen.push(storage.getStore(), tasks[0]!.trace.traceparent);
      storage.enterWith(1);
    });
    const run = async (_carrier: unknown, work: () => Promise<unknown>): Promise<unknown> => {
      traced++;
      return work();
    };
    const { queue } = await bed.start({ imports: [handler], queue: { propagation: { run } } });
    const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
    await queue.publishMany('tasks', [1, 2], { trace: { traceparent } });
    await bed.untilSettled();
    expect(seen).toEqual([undefined, traceparent, undefined, traceparent]);
    expect(traced).toBe(0);
  });

  it('get the tasks of schedules, too', async () => {
    const ran: unknown[] = [];
    @Injectable()
    class Handlers {
      @TaskHandler('tasks', { batch: { max: 10 } })
      @TaskSchedule('soon', { everyMs: 1_000 }, { payload: 'due' })
      handle(tasks: readonly Task<string>[]): void {
        ran.push(...tasks.map((task) => task.payload));
      }
    }
    @Module({ providers: [Handlers] })
    class App {}
    await bed.start({ imports: [App] });
    await until(() => ran.length > 0, { what: 'it ran' });
    expect(ran[0]).toBe('due');
  });
});

it('a task by hand can fail in a unit test, and tells with what', async () => {
  const handle = (tasks: readonly Task<number>[]): void => {
    for (const task of tasks) if (task.payload < 0) task.fail(new RangeError(`${task.payload}`));
  };
  const tasks = [1, -1].map((n) => new BatchTask({ payload: n }));
  handle(tasks);
  expect(tasks.map(({ failure }) => failure)).toEqual([undefined, { error: new RangeError('-1') }]);
});
