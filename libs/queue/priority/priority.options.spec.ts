import { describe, expect, it } from '@jest/globals';
import { QueueBed } from '../../../test/support/queue-bed.js';
import { HandlerRegistry } from '../handlers/handler.registry.js';
import { defineQueue, payload, type Shares } from '../index.js';

const bed = new QueueBed();
const Tasks = defineQueue<number>('tasks', { shares: true });
const refused = (message: string): object => ({
  code: 'SLUICE_BAD_OPTION',
  message: expect.stringContaining(message),
});

describe('shares', () => {
  it('are those of the definition, and the configuration changes single members', async () => {
    expect(Tasks.shares).toEqual({ high: 8, normal: 4, low: 1 });
    expect(defineQueue('tasks', { shares: { high: 2 } }).shares).toEqual({ high: 2, normal: 4, low: 1 });
    const { app } = await bed.start({
      handlers: { tasks: () => {} },
      queue: { queues: { tasks: { shares: { low: 3 } }, bare: { shares: true } } },
    });
    const registry = app.get(HandlerRegistry);
    expect(registry.sharesOf(defineQueue('tasks', { shares: { high: 2 } }), 'tasks')).toEqual({
      ...{ high: 2, normal: 4, low: 3 },
    });
    expect(registry.sharesOf('bare', 'bare')).toEqual({ high: 8, normal: 4, low: 1 });
    expect(registry.enabled().map(({ place, level }) => [place, level])).toEqual([
      ['tasks:~low', { priority: 'low', share: 3 }],
      ['tasks', { priority: 'normal', share: 4 }],
      ['tasks:~high', { priority: 'high', share: 8 }],
    ]);
  });

  it.each<[unknown, string]>([
    [false, "defineQueue('q').shares must be true, or an object with shares"],
    [8, "defineQueue('q').shares must be true, or an object with shares"],
    [{ urgent: 1 }, 'urgent'],
    [{ low: 0 }, "defineQueue('q').shares.low must be a whole number ≥ 1"],
    [{ high: 1_001 }, "defineQueue('q').shares.high must be at most 1000"],
  ])('%j is refused', (shares, message) => {
    expect(() => defineQueue('q', { shares: shares as Shares })).toThrow(message);
  });

  it('are refused beside named tasks and beside a maxLength, also by the configuration', async () => {
    const tasks = { import: payload<number>() };
    expect(() => defineQueue('files', { tasks, shares: true } as never)).toThrow(
      'shares must be left out beside tasks',
    );
    expect(() => defineQueue('q', { maxLength: { limit: 1 }, shares: true })).toThrow(
      'shares must be left out beside maxLength',
    );
    const { queue } = await bed.start({
      queue: { queues: { tasks: { maxLength: { limit: 5 } }, 'files.import': { shares: true } } },
    });
    await expect(queue.publish(Tasks, 1, { priority: 'low' })).rejects.toMatchObject(
      refused("'tasks' has a maxLength"),
    );
    const Files = defineQueue('files', { tasks });
    await expect(queue.publish(Files.tasks.import, 1, { priority: 'low' })).rejects.toMatchObject(
      refused('is a named task'),
    );
    const boot = bed.start({
      handlers: { tasks: () => {} },
      queue: { queues: { tasks: { maxLength: { limit: 5 }, shares: true } } },
    });
    await expect(boot).rejects.toMatchObject(refused("the shares of queue 'tasks'"));
  });

  it.each([{ concurrency: { fleet: 5 } }, { rateLimit: { limit: 5, perMs: 1_000 } }, { batch: { max: 5 } }])(
    'do not go together with %j, which the boot says',
    async (options) => {
      const boot = bed.start({
        handlers: { tasks: { run: () => {}, options } },
        queue: { queues: { tasks: { shares: true } } },
      });
      await expect(boot).rejects.toMatchObject(refused("queue 'tasks' has levels of priority"));
    },
  );
});

describe('priority', () => {
  it('is refused on a queue without levels, also the usual one, with the way to get them', async () => {
    const { queue } = await bed.start({});
    for (const priority of ['high', 'normal', 'low'] as const) {
      await expect(queue.publish('tasks', 1, { priority })).rejects.toMatchObject(
        refused("defineQueue('tasks', { shares: true })"),
      );
      await expect(queue.publishAndWait('tasks', 1, { priority })).rejects.toMatchObject(
        refused("defineQueue('tasks', { shares: true })"),
      );
    }
    await expect(queue.publishMany('tasks', [1, 2], (_, i) => (i ? { priority: 'low' } : {}))).rejects.toMatchObject(
      refused("priority 'low' on queue 'tasks'"),
    );
    await expect(queue.publish(Tasks, 1, { priority: 'urgent' as never })).rejects.toMatchObject(
      refused("publish.priority must be one of 'high', 'normal', 'low'"),
    );
    expect(await bed.admin.keys('*tasks*')).toEqual([]);
  });

  it('is refused for publishes under a key', async () => {
    const { queue } = await bed.start({});
    const options = { key: 'a', priority: 'high' };
    await expect(queue.publishUnique(Tasks, 1, options)).rejects.toMatchObject(refused('publishUnique: priority'));
    const Lists = defineQueue<number[]>('tasks', { shares: true });
    await expect(queue.collect(Lists, 1, { ...options, waitMs: 5 })).rejects.toMatchObject(
      refused('collect: priority'),
    );
    const { id } = await queue.publishUnique(Tasks, 1, { key: 'a' });
    expect(await queue.inspect(Tasks, { key: 'a' })).toMatchObject({ id, priority: 'normal' });
  });

  it('is refused for members of a publishMany that something follows', async () => {
    const { queue } = await bed.start({});
    const whenAllSettled = { queue: '{tasks}.done', payload: 1 };
    await expect(queue.publishMany(Tasks, [1], { whenAllSettled, priority: 'low' })).rejects.toMatchObject(
      refused('publishMany: priority must be left out beside whenAllSettled'),
    );
    expect(await bed.admin.keys('*tasks*')).toEqual([]);
  });

  it('has no name by which a caller reaches a level alone', async () => {
    const { queue } = await bed.start({});
    const bad = { code: 'SLUICE_BAD_NAME' };
    await expect(queue.publish('tasks:~high', 1)).rejects.toMatchObject(bad);
    await expect(queue.counts('tasks:~high')).rejects.toMatchObject(bad);
    await expect(queue.raw.publish('tasks:~high', '1')).rejects.toMatchObject(bad);
    expect(() => defineQueue('tasks:~low')).toThrow(expect.objectContaining(bad));
  });
});
