import { describe, expect, it } from '@jest/globals';
import { HistoryBed } from '../../../test/support/history-bed.js';
import { HandlerRegistry } from '../handlers/handler.registry.js';
import { defineQueue, payload, type HistoryOptions, type SluiceQueueModuleOptions } from '../index.js';

const bed = new HistoryBed();
const run = (): void => {};

/** What the handlers of the app keep, by queue. */
async function kept(queue: unknown, queues: SluiceQueueModuleOptions['queues'] = {}): Promise<unknown[]> {
  const handler = typeof queue === 'string' ? run : { run, definition: queue as never };
  const { app } = await bed.start({
    handlers: { [typeof queue === 'string' ? queue : 'handled']: handler },
    queue: { queues },
  });
  return app
    .get(HandlerRegistry)
    .enabled()
    .map(({ history }) => history);
}

describe('history', () => {
  it.each<[what: string, declared: HistoryOptions | undefined, change: HistoryOptions | false | undefined, unknown]>([
    ['none', undefined, undefined, undefined],
    ['that of the definition', { completed: 5 }, undefined, { completed: 5, failed: 0 }],
    [
      'with a member that the configuration changes',
      { completed: 5, failed: 6 },
      { failed: 7 },
      { completed: 5, failed: 7 },
    ],
    ['that of the configuration', undefined, { failed: 7 }, { completed: 0, failed: 7 }],
    ['none, if the configuration says so', { completed: 5 }, false, undefined],
    ['none, if both are 0', { completed: 5 }, { completed: 0 }, undefined],
    ['as many as may be', { completed: 100_000, failed: 0 }, undefined, { completed: 100_000, failed: 0 }],
  ])('is %s', async (_, declared, change, expected) => {
    const queue = defineQueue('tasks', declared ? { history: declared } : {});
    expect(queue.history).toEqual(declared);
    expect(await kept(queue, change === undefined ? {} : { tasks: { history: change } })).toEqual([expected]);
  });

  it('of a bare name is that of the configuration', async () => {
    expect(await kept('tasks', { tasks: { history: { completed: 3 } } })).toEqual([{ completed: 3, failed: 0 }]);
    expect(await kept('tasks')).toEqual([undefined]);
  });

  it('of named tasks is for each, and the configuration of a name comes after that of all', async () => {
    const Files = defineQueue('files', {
      tasks: { import: payload<number>(), export: payload<number>() },
      history: { completed: 5 },
    });
    expect(
      await kept(Files, { files: { history: { failed: 2 } }, 'files.export': { history: { completed: 9 } } }),
    ).toEqual([
      { completed: 5, failed: 2 },
      { completed: 9, failed: 2 },
    ]);
    expect(Files.tasks.import.task).toEqual({ queue: 'files', name: 'import' });
    expect(await kept(Files, { files: { history: false }, 'files.export': { history: { failed: 1 } } })).toEqual([
      undefined,
      { completed: 0, failed: 1 },
    ]);
  });

  it('stays with a definition that names its results', () => {
    expect(defineQueue('tasks', { history: { completed: 1 } }).returning<number>().history).toEqual({ completed: 1 });
  });

  it.each<[unknown, string]>([
    [100, 'must be an options object'],
    [{}, 'must be an object with completed, failed, or both'],
    [{ completed: -1 }, '.completed must be a whole number from 0 to 100000'],
    [{ completed: 1.5 }, '.completed must be a whole number from 0 to 100000'],
    [{ failed: 100_001 }, '.failed must be a whole number from 0 to 100000'],
    [{ failed: Infinity }, '.failed must be a whole number from 0 to 100000'],
    [{ completed: '5' }, '.completed must be a whole number from 0 to 100000'],
    [{ done: 5 }, 'done'],
  ])('%j is refused, in the definition and in the configuration', async (history, message) => {
    expect(() => defineQueue('tasks', { history: history as HistoryOptions })).toThrow(message);
    expect(() => defineQueue('tasks', { history: history as HistoryOptions })).toThrow("defineQueue('tasks').history");
    await expect(kept('tasks', { tasks: { history: history as HistoryOptions } })).rejects.toMatchObject({
      code: 'SLUICE_BAD_OPTION',
      message: expect.stringContaining('queue.queues.tasks.history'),
    });
  });

  it.each<[object, string]>([
    [{ state: 'done' }, "history: state must be one of 'completed', 'failed'"],
    [{ limit: 0 }, 'history: limit must be a whole number from 1 to 1000'],
    [{ limit: 1_001 }, 'history: limit must be a whole number from 1 to 1000'],
    [{ after: 'x' }, "history: after must be the 'next' of a page"],
  ])('cannot be asked for with %j', async (options, message) => {
    const { queue } = await bed.handle(run);
    await expect(queue.history('tasks', options as never)).rejects.toMatchObject({
      code: 'SLUICE_BAD_OPTION',
      message: expect.stringContaining(message),
    });
  });
});
