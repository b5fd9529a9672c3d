import { describe, expect, it } from '@jest/globals';
import { commandDelta } from '../../../test/support/command-delta.js';
import { QueueBed } from '../../../test/support/queue-bed.js';
import { until } from '../../../test/support/until.js';
import { defineQueue } from '../index.js';

const bed = new QueueBed();
const Tasks = defineQueue<string>('tasks', { shares: true });

describe('what is not used costs nothing', () => {
  it('a queue without shares has no stream, key, read or command for them', async () => {
    let ran = 0;
    const { queue } = await bed.start({ handlers: { tasks: () => ran++ } });
    await queue.publish('tasks', 1);
    await until(() => ran === 1, { what: 'it ran' });
    expect((await bed.admin.keys('*')).filter((key) => /~(high|low)/.test(key))).toEqual([]);
    const none = await bed.start({});
    const { calls } = await commandDelta(bed.admin, () => none.queue.publish('others', 1));
    expect(calls['evalsha']).toBeUndefined();
  });

  it('tasks of the level normal are published as in any queue', async () => {
    const { queue } = await bed.start({});
    const { calls } = await commandDelta(bed.admin, () => queue.publish(Tasks, 'a', { priority: 'normal' }));
    expect(calls).toEqual({ xadd: 1 });
    await queue.publish(Tasks, 'a', { priority: 'high' });
    const { calls: levelCalls } = await commandDelta(bed.admin, () => queue.publish(Tasks, 'a', { priority: 'high' }));
    expect(levelCalls).toMatchObject({ evalsha: 1, xadd: 1 });
  });
});

describe('what is in the way', () => {
  it('a key of another type refuses the publish before anything is written', async () => {
    const { queue } = await bed.start({});
    await bed.admin.set('{tasks}:~low:~delayed', 'x');
    await expect(queue.publish(Tasks, 'a', { priority: 'low' })).rejects.toThrow('WRONGTYPE');
    await bed.admin.set('{tasks}:~high', 'x');
    await expect(queue.publish(Tasks, 'a', { priority: 'high' })).rejects.toThrow('WRONGTYPE');
    expect((await bed.admin.keys('*tasks*')).sort()).toEqual(['{tasks}:~high', '{tasks}:~low:~delayed']);
    await bed.admin.set('tasks', 'x');
    await expect(queue.publish(Tasks, 'a', { priority: 'low' })).rejects.toThrow('WRONGTYPE');
  });
});
