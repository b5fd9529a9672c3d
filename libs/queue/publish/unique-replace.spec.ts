import { describe, expect, it } from '@jest/globals';
import { gate } from '../../../test/support/gate.js';
import { QueueBed } from '../../../test/support/queue-bed.js';
import { itAsDefaultUser, withoutRight } from '../../../test/support/refused-commands.js';
import { until } from '../../../test/support/until.js';
import type { QueueService, Task, UniquePublish } from '../index.js';
import { RELEASED } from '../store/queue.keys.js';

const bed = new QueueBed();
const KEY = { key: 'k' };
const HOUR_MS = 3_600_000;
const replace = (queue: QueueService, payload: unknown, options: object = {}): Promise<UniquePublish> =>
  queue.publishUnique('tasks', payload, { ...KEY, mode: 'replace', ...options });

describe("mode: 'replace'", () => {
  it('gives a task that waits the new payload and options, its id, and the end of the queue', async () => {
    const { queue } = await bed.start({});
    const first = await replace(queue, 1, { maxAttempts: 9 });
    expect(first.outcome).toBe('published');
    const other = await queue.publish('tasks', 'other');
    for (const payload of [2, 3]) {
      expect(await replace(queue, payload, { maxAttempts: 2 })).toEqual({ id: first.id, outcome: 'replaced' });
    }
    expect((await queue.list('tasks')).tasks).toMatchObject([
      { id: other, payload: 'other' },
      { id: first.id, payload: 3, attempt: 1 },
    ]);
    expect(await queue.inspect('tasks', KEY)).toMatchObject({ id: first.id, payload: 3 });
    expect((await bed.admin.xrange('tasks', '-', '+'))[1]![1][7]).toContain('"maxAttempts":2');
    expect(await queue.remove('tasks', first.id)).toBe(true);
    expect(await bed.admin.zcard('{tasks}:~index')).toBe(0);
    const second = await replace(queue, 4);
    expect(second.outcome).toBe('published');
    expect(second.id).not.toBe(first.id);
  });

  it('leaves a delayed task when it is due, whatever the options say', async () => {
    const { queue } = await bed.start({});
    const { id } = await replace(queue, 1, { delayMs: HOUR_MS });
    const due = await bed.admin.zscore('{tasks}:~delayed', id);
    expect(await replace(queue, 2, { delayMs: 1 })).toEqual({ id, outcome: 'replaced' });
    expect(await replace(queue, 3)).toEqual({ id, outcome: 'replaced' });
    expect(await bed.admin.zscore('{tasks}:~delayed', id)).toBe(due);
    expect(await queue.inspect('tasks', id)).toMatchObject({ state: 'delayed', payload: 3 });
  });

  it('replaces a task that rests before a retry, and its attempts begin anew', async () => {
    const ran: unknown[] = [];
    const { queue } = await bed.start({
      handlers: {
        tasks: ({ payload, attempt }) => {
          ran.push([payload, attempt]);
          if (payload === 1) throw new Error('no');
        },
      },
      queue: { backoff: HOUR_MS },
    });
    const { id } = await replace(queue, 1);
    await until(async () => (await queue.counts('tasks')).delayed === 1, { what: 'it rests' });
    expect(await replace(queue, 2)).toEqual({ id, outcome: 'replaced' });
    await queue.runNow('tasks', id);
    await until(() => ran.length === 2, { what: 'it runs' });
    await bed.untilSettled();
    expect(ran).toEqual([
      [1, 1],
      [2, 1],
    ]);
  });

  it('leaves a task alone that a worker has, and publishes a new one, which the key then means', async () => {
    const closed = gate();
    const ran: unknown[] = [];
    const { queue } = await bed.start({
      handlers: {
        tasks: {
          run: async ({ payload }: Task<never>) => {
            ran.push(payload);
            await closed.opened;
          },
          options: { concurrency: 1 },
        },
      },
    });
    const first = await replace(queue, 1);
    await until(() => ran.length === 1, { what: 'it runs' });
    await queue.pause('tasks');
    const second = await replace(queue, 2);
    expect(second.outcome).toBe('published');
    expect(second.id).not.toBe(first.id);
    closed.open();
    await until(async () => (await queue.counts('tasks')).running === 0, { what: 'the first one is done' });
    expect(await replace(queue, 3)).toEqual({ id: second.id, outcome: 'replaced' });
    await queue.resume('tasks');
    await bed.untilSettled();
    expect(ran).toEqual([1, 3]);
    expect((await replace(queue, 4)).outcome).toBe('published');
  });

  it('replaces a task that a stopping process has returned, and one that is settled but not deleted it does not', async () => {
    await bed.admin.xgroup('CREATE', 'tasks', 'sluice', '0', 'MKSTREAM');
    const { queue } = await bed.start({});
    const { id } = await replace(queue, 1);
    await bed.admin.xreadgroup('GROUP', 'sluice', RELEASED, 'STREAMS', 'tasks', '>');
    expect(await replace(queue, 2)).toEqual({ id, outcome: 'replaced' });
    expect(await bed.books.pending()).toBe(0);
    expect(await bed.admin.xlen('tasks')).toBe(1);
    // Other software acknowledges, and does not delete.
    await bed.admin.xreadgroup('GROUP', 'sluice', 'other', 'STREAMS', 'tasks', '>');
    const [[entry]] = (await bed.admin.xrange('tasks', '-', '+')) as [[string, string[]]];
    await bed.admin.xack('tasks', 'sluice', entry);
    expect((await replace(queue, 3)).outcome).toBe('published');
    expect(await bed.admin.xlen('tasks')).toBe(2);
  });

  it('answers a repeat with its nonce as before, and replaces nothing', async () => {
    const { queue } = await bed.start({});
    const { id } = await replace(queue, 1);
    const nonce = 'n';
    expect(await replace(queue, 2, { nonce })).toEqual({ id, outcome: 'replaced' });
    expect(await replace(queue, 3)).toEqual({ id, outcome: 'replaced' });
    expect(await replace(queue, 2, { nonce })).toEqual({ id, outcome: 'replaced' });
    expect(await queue.inspect('tasks', id)).toMatchObject({ payload: 3 });
  });

  itAsDefaultUser.each(['xack', 'xdel', 'xadd'])(
    'replaces nothing for a user without %s: the task keeps its place',
    async (command) => {
      await bed.admin.xgroup('CREATE', 'tasks', 'sluice', '0', 'MKSTREAM');
      const { queue } = await bed.start({});
      const { id } = await replace(queue, 1);
      await bed.admin.xreadgroup('GROUP', 'sluice', RELEASED, 'STREAMS', 'tasks', '>');
      await withoutRight(bed.admin, command, () =>
        expect(replace(queue, 2)).rejects.toMatchObject({ refusal: 'NOPERM', outcome: 'not-sent' }),
      );
      expect(await bed.books.pending()).toBe(1);
      expect((await bed.admin.xrange('tasks', '-', '+')).map(([entry]) => entry)).toEqual([id]);
      expect(await replace(queue, 3)).toEqual({ id, outcome: 'replaced' });
    },
  );

  it('is for one group, and has no window', async () => {
    for (const group of ['one', 'two']) await bed.admin.xgroup('CREATE', 'tasks', group, '0', 'MKSTREAM');
    const { queue } = await bed.start({});
    await expect(replace(queue, 1)).rejects.toMatchObject({
      code: 'SLUICE_BAD_OPTION',
      message: expect.stringContaining("is read by 'one', 'two'"),
    });
    expect(await bed.admin.xlen('tasks')).toBe(0);
    await expect(replace(queue, 1, { windowMs: 5 })).rejects.toThrow('windowMs must be left out with replace');
    await expect(replace(queue, 1, { maxWaitMs: 5 })).rejects.toThrow('maxWaitMs must be left out without debounce');
  });
});
