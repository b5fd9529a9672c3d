import { describe, expect, it } from '@jest/globals';
import { Redis } from 'ioredis';
import { QueueBed } from '../../../test/support/queue-bed.js';
import { until } from '../../../test/support/until.js';
import type { QueueApp } from '../../../test/support/queue-app.js';
import type { Task } from '../index.js';

const bed = new QueueBed();
const runs: string[] = [];

/** An app that works on `tasks`, and publishes to `foreign`, which only other software reads. */
async function started(): Promise<QueueApp> {
  runs.length = 0;
  return bed.start({ handlers: { tasks: ({ payload }: Task<string>) => void runs.push(payload) } });
}

async function untilBothCame(): Promise<void> {
  await until(() => runs.length === 1, { what: 'the task ran' });
  await until(async () => (await bed.admin.xlen('foreign')) === 1, { what: 'the one of the foreign queue has come' });
}

describe('a delayed task that is due', () => {
  it('while a script keeps Redis busy comes when that has ended', async () => {
    const { queue } = await started();
    await bed.admin.config('SET', 'busy-reply-threshold', '50');
    const other = new Redis(bed.redis.url);
    for (const name of ['tasks', 'foreign']) await queue.publish(name, 'x', { delayMs: 100 });
    const dueMs = Date.now() + 100;
    const busy = other.eval('while true do end', 0).catch((error: unknown) => String(error));
    await until(async () => (await bed.admin.ping().catch(String)).includes('BUSY'), { what: 'Redis is busy' });
    await until(() => Date.now() > dueMs + 100, { what: 'both are due, and were refused' });
    await bed.admin.script('KILL');
    expect(await busy).toContain('killed');
    other.disconnect();
    await untilBothCame();
  });

  it('just after all sockets were lost comes all the same', async () => {
    const { queue } = await started();
    for (const name of ['tasks', 'foreign']) await queue.publish(name, 'x', { delayMs: 150 });
    await bed.admin.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
    await bed.admin.call('CLIENT', 'KILL', 'TYPE', 'pubsub', 'SKIPME', 'yes');
    await untilBothCame();
  });

  it('while its queue is paused starts after the pause', async () => {
    const { queue } = await started();
    await queue.publish('tasks', 'before', { delayMs: 200 });
    expect(await queue.pause('tasks')).toEqual({ changed: true, unconfirmed: [] });
    await queue.publish('tasks', 'during', { delayMs: 1 });
    await until(async () => (await queue.counts('tasks')).delayed === 0, { what: 'both are due' });
    expect(await queue.counts('tasks')).toMatchObject({ waiting: 2, running: 0 });
    expect(runs).toEqual([]);
    await queue.resume('tasks');
    await until(() => runs.length === 2, { what: 'both ran' });
  });
});
