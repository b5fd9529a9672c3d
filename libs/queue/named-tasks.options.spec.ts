import { describe, expect, it } from '@jest/globals';
import { Module, type Type } from '@nestjs/common';
import { gate } from '../../test/support/gate.js';
import {
  Cleans,
  Exports,
  Files,
  Imports,
  NamedTasksBed,
  handlersApart,
  nothingIsLeft,
  wholeHandler,
} from '../../test/support/named-tasks-bed.js';
import { until } from '../../test/support/until.js';
import { TaskHandler, defineQueue, type SluiceQueueModuleOptions } from './index.js';

const bed = new NamedTasksBed();
const start = bed.with.bind(bed);

describe('the options of named tasks', () => {
  const logOf = async (queue: SluiceQueueModuleOptions, handlers: Type[]): Promise<string[]> => {
    const lines: string[] = [];
    @Module({ providers: handlers })
    class Handlers {}
    await bed.start({ imports: [Handlers], queue, logged: (_level, message) => lines.push(message) });
    return lines;
  };

  it('are found by the name of the queue, then by the name of the task', async () => {
    const handlers = { files: { maxAttempts: 7, group: 'all' }, 'files.import': { maxAttempts: 2, concurrency: 4 } };
    const lines = (await logOf({ handlers }, [handlersApart()])).join('\n');
    expect(lines).toContain(
      "queue '{files}.import' is handled by Handlers.import (group 'all', concurrency 4, maxAttempts 2)",
    );
    expect(lines).toContain(
      "queue '{files}.export' is handled by Handlers.export (group 'all', concurrency 2, maxAttempts 7)",
    );
    expect(lines).not.toContain('no provider has');
  });

  it('choose what a process works on: all names, or one', async () => {
    const handled = async (consumers: string[]): Promise<string[]> =>
      (await logOf({ consumers }, [handlersApart()])).flatMap(
        (line) => /queue '(.+)' is handled/.exec(line)?.[1] ?? [],
      );
    expect(await handled(['files'])).toEqual(['{files}.import', '{files}.export']);
    expect(await handled(['files.export', 'files.export'])).toEqual(['{files}.export']);
    expect(await handled(['{files}.import', 'files'])).toEqual(['{files}.import', '{files}.export']);
    await expect(handled(['files.clean'])).rejects.toMatchObject({ code: 'SLUICE_BAD_OPTION' });
  });

  it('are reported if nothing has the name', async () => {
    const lines = (await logOf({ handlers: { 'files.clean': {}, files: {} } }, [handlersApart()])).join('\n');
    expect(lines).toContain("options for 'files.clean', but");
  });

  it('are not those of a queue that is beside another one because of its slot', async () => {
    const Failures = defineQueue<unknown>('{orders}.failures');
    class Handlers {
      @TaskHandler('orders')
      run(): string {
        return 'done';
      }

      @TaskHandler(Failures)
      failed(): string {
        return 'done';
      }
    }
    const queue: SluiceQueueModuleOptions = {
      handlers: {
        orders: { maxAttempts: 7, concurrency: { process: 2, fleet: 5 }, rateLimit: { limit: 9, perMs: 9 } },
      },
      queues: { orders: { maxLength: { limit: 1 } } },
    };
    const lines = (await logOf(queue, [Handlers])).join('\n');
    expect(lines).toContain("queue 'orders' is handled by Handlers.run (group 'sluice', concurrency 2, 5 in the fleet");
    expect(lines).toContain(
      "queue '{orders}.failures' is handled by Handlers.failed (group 'sluice', concurrency 10, maxAttempts 3)",
    );
    const { queue: service } = await start([], queue);
    await service.publishMany(Failures, [1, 2, 3]);
    expect((await logOf({ ...queue, consumers: ['orders'] }, [Handlers])).join('\n')).not.toContain('failures');
  });

  it('must not mean two queues by one name, and one name has one handler', async () => {
    class Plain {
      @TaskHandler('files.import')
      run(): void {
        throw new Error('never called');
      }
    }
    await expect(start([handlersApart(), Plain])).rejects.toMatchObject({ code: 'SLUICE_BAD_NAME' });
    await expect(start([handlersApart(), wholeHandler(() => {})])).rejects.toMatchObject({
      code: 'SLUICE_DUPLICATE_HANDLER',
    });
  });
});

describe('a limit for all names together', () => {
  /** Runs tasks of two names until all are begun, and tells how many ran at a time. */
  const most = async (
    queue: SluiceQueueModuleOptions,
    handlers: (run: () => Promise<void>) => Type,
  ): Promise<number> => {
    let running = 0;
    let seen = 0;
    const ended = { count: 0 };
    const { queue: service } = await start(
      [
        handlers(async () => {
          seen = Math.max(seen, ++running);
          await new Promise((resolve) => setTimeout(resolve, 2));
          running--;
          ended.count++;
        }),
      ],
      queue,
    );
    await service.publishMany(
      Imports,
      Array.from({ length: 60 }, (_, n) => ({ url: String(n) })),
    );
    await service.publishMany(
      Exports,
      Array.from({ length: 60 }, (_, page) => ({ page })),
    );
    await until(() => ended.count === 120, { what: 'all ran' });
    await nothingIsLeft(service);
    return seen;
  };

  it('holds beside the limits of the names', async () => {
    expect(await most({ handlers: { files: { concurrency: 5 } } }, handlersApart)).toBe(5);
  });

  it('is the concurrency of a handler of all names', async () => {
    expect(await most({}, (run) => wholeHandler(run, 3))).toBe(3);
  });

  it('is none without being asked for', async () => {
    // 10 of import, and 2 of export.
    expect(await most({}, handlersApart)).toBe(12);
  });

  it('lets a name in while another has work for ever', async () => {
    const ran: string[] = [];
    let over = false;
    const { queue } = await start([
      wholeHandler(async ({ name }) => {
        // As many as are done come again, so that there are always fifty.
        if (name === 'import' && !over) await queue.publish(Imports, { url: 'again' });
        ran.push(name);
      }, 1),
    ]);
    const count = (name: string): number => ran.filter((each) => each === name).length;
    await queue.publishMany(
      Imports,
      Array.from({ length: 50 }, (_, n) => ({ url: String(n) })),
    );
    await until(() => count('import') >= 60, { what: 'one name is busy' });
    await queue.publishMany(
      Exports,
      Array.from({ length: 20 }, (_, page) => ({ page })),
    );
    await until(() => count('export') === 20, { what: 'the other name ran' });
    await queue.publish(Cleans, null);
    await until(() => count('clean') === 1, { what: 'the third name ran' });
    over = true;
    await nothingIsLeft(queue);
  });

  it('is a limit per group', async () => {
    const both = gate();
    const inside: string[] = [];
    const handlerOf = (group: string): Type => {
      class Handlers {
        @TaskHandler(Files, { group, concurrency: 1 })
        async run(): Promise<void> {
          inside.push(group);
          await both.opened;
        }
      }
      return Handlers;
    };
    const { queue } = await start([handlerOf('a'), handlerOf('b')]);
    await queue.publish(Imports, { url: 'a' });
    await until(() => inside.length === 2, { what: 'both groups run it' });
    both.open();
    await nothingIsLeft(queue);
  });
});
