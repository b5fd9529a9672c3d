import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { afterEach, expect, it } from '@jest/globals';
import { QueueBed } from '../../../test/support/queue-bed.js';
import { until } from '../../../test/support/until.js';
import { QUEUE_CHANNELS, type Task } from '../index.js';
import { channels } from './queue.channels.js';

const bed = new QueueBed();
const told: [name: string, message: Record<string, unknown>][] = [];
const listeners = Object.entries(QUEUE_CHANNELS).map(([name, channel]) => {
  const listen = (message: unknown): void => void told.push([name, message as Record<string, unknown>]);
  return { channel, listen };
});
const listen = (): void => {
  for (const each of listeners) subscribe(each.channel, each.listen);
};
afterEach(() => {
  for (const each of listeners) unsubscribe(each.channel, each.listen);
  told.length = 0;
});

it("tell a task's life, each step once", async () => {
  const { queue } = await bed.start({
    handlers: {
      tasks: ({ payload }: Task<string>) => {
        if (payload === 'fails') throw new Error('as asked');
      },
    },
    queue: { maxAttempts: 2, backoff: 1 },
  });
  listen();
  const id = await queue.publish('tasks', 'fails');
  await until(() => told.some(([name]) => name === 'deadLettered'), { what: 'it is given up' });
  const about = { queue: 'tasks', group: 'sluice', id, deliveries: 1 };
  const failed = { ranMs: expect.any(Number), error: new Error('as asked') };
  // Its publisher may hear of it later than its worker.
  expect(told).toContainEqual(['published', { queue: 'tasks', id, delayMs: 0 }]);
  expect(told.filter(([name]) => name !== 'published')).toEqual([
    ['started', { ...about, attempt: 1 }],
    ['failed', { ...about, attempt: 1, ...failed }],
    ['retried', { queue: 'tasks', group: 'sluice', id, delayMs: expect.any(Number) }],
    ['started', { ...about, attempt: 2 }],
    ['failed', { ...about, attempt: 2, ...failed }],
    ['deadLettered', { queue: 'tasks', group: 'sluice', id, reason: 'max-attempts' }],
  ]);
  told.length = 0;
  const [later] = await queue.publishMany('tasks', ['works'], { delayMs: 5 });
  await until(() => told.length === 3, { what: 'it ran' });
  expect(told).toMatchObject([
    ['published', { queue: 'tasks', id: later, delayMs: 5 }],
    ['started', { id: later, attempt: 1 }],
    ['completed', { id: later, ranMs: expect.any(Number) }],
  ]);
});

it('tell what was taken over, and what was given up for it', async () => {
  await bed.admin.xgroup('CREATE', 'tasks', 'sluice', '0', 'MKSTREAM');
  for (const payload of [1, 2]) await bed.admin.xadd('tasks', '*', 'payload', payload);
  await bed.admin.xreadgroup('GROUP', 'sluice', 'sluice:~released', 'STREAMS', 'tasks', '>');
  const poison = (await bed.admin.xrange('tasks', '-', '+'))[0]![0];
  await bed.admin.call('XCLAIM', 'tasks', 'sluice', 'sluice:~released', 0, poison, 'RETRYCOUNT', 9, 'JUSTID');
  listen();
  await bed.start({ handlers: { tasks: () => {} } });
  await bed.untilSettled();
  expect(told).toContainEqual(['reaped', { queue: 'tasks', group: 'sluice', count: 1 }]);
  expect(told).toContainEqual(['deadLettered', expect.objectContaining({ id: poison, reason: 'max-deliveries' })]);
});

it('have nobody to tell unless somebody subscribes', () => {
  expect(Object.values(channels).filter(({ hasSubscribers }) => hasSubscribers)).toEqual([]);
  expect(Object.values(channels).map(({ name }) => name)).toEqual(Object.values(QUEUE_CHANNELS));
});
