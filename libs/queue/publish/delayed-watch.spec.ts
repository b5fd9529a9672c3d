import { describe, expect, it } from '@jest/globals';
import { QueueBed } from '../../../test/support/queue-bed.js';
import { until } from '../../../test/support/until.js';
import type { QueueService, Task } from '../index.js';

const bed = new QueueBed();
const publisher = async (): Promise<QueueService> => (await bed.start({ queue: { consumers: false } })).queue;
const waiting = async (stream = 'tasks'): Promise<number> => bed.admin.xlen(stream);

describe('a delayed task of a queue that only other software reads', () => {
  it('comes when it is due, moved by its publisher, also if an earlier one is published later', async () => {
    const queue = await publisher();
    await bed.admin.xgroup('CREATE', 'tasks', 'go', '0', 'MKSTREAM');
    await queue.publish('tasks', 'later', { delayMs: 3_600_000 });
    const publishedMs = Date.now();
    await queue.publish('tasks', 'soon', { delayMs: 300 });
    await queue.publishMany('tasks', ['a', 'b'], { runAt: new Date(Date.now() + 300) });
    await until(async () => (await waiting()) === 3, { what: 'three have come' });
    expect(Date.now() - publishedMs).toBeGreaterThanOrEqual(299);
    // Told of it: by itself it looks after ten seconds.
    expect(Date.now() - publishedMs).toBeLessThan(9_000);
    const [entry] = await queue.raw.consume('go', 'gopher', 'tasks', 10);
    expect(entry?.fields['payload']).toMatch(/soon|a|b/);
    expect((await queue.counts('tasks')).delayed).toBe(1);
    // Nothing was left there, and it begins again.
    await queue.publish('other', 1, { delayMs: 50 });
    await until(async () => (await waiting('other')) === 1, { what: 'it has come' });
    await queue.publish('other', 2, { delayMs: 50 });
    await until(async () => (await waiting('other')) === 2, { what: 'the second one has come' });
  });

  it('is left to workers while one lives', async () => {
    const queue = await publisher();
    const alive = '{tasks}:~alive';
    await bed.admin.zadd(alive, Date.now() + 60_000, 'sluice:other');
    await queue.publish('tasks', 1, { delayMs: 100 });
    const other = await publisher();
    await other.publish('free', 1, { delayMs: 400 });
    await until(async () => (await waiting('free')) === 1, { what: 'the later one of a free queue has come' });
    expect((await queue.counts('tasks')).delayed).toBe(1);
  });

  it('comes in the middle of an outage of scripts, and is not watched in a process that works on the queue', async () => {
    const runs: unknown[] = [];
    const { queue } = await bed.start({
      handlers: { tasks: ({ payload }: Task<string>) => void runs.push(payload) },
      queue: { consumers: ['tasks'] },
    });
    await bed.admin.script('FLUSH');
    await queue.publish('tasks', 'mine', { delayMs: 50 });
    await until(() => runs.length === 1, { what: 'the worker has moved it' });
    await queue.publish('foreign', 'theirs', { delayMs: 50 });
    await until(async () => (await waiting('foreign')) === 1, { what: 'the publisher has moved it' });
  });
});
