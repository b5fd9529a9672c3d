import { describe, expect, it } from '@jest/globals';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { Module } from '@nestjs/common';
import { QueueBed } from '../../../test/support/queue-bed.js';
import { until } from '../../../test/support/until.js';
import { QUEUE_CHANNELS, TaskHandler, type GroupUnreadMessage } from '../index.js';
import { RELEASED } from '../store/queue.keys.js';

const bed = new QueueBed();

describe('groups', () => {
  it('are listed with what they have left and who reads, and dropped when nobody does', async () => {
    const { queue } = await bed.start({ handlers: { tasks: { run: () => {}, options: { group: 'v2' } } } });
    await bed.admin.xgroup('CREATE', 'tasks', 'v1', '0');
    await bed.admin.zadd('{tasks}:~delayed:v1', 1, 'a retry');
    await queue.publishMany('tasks', [1, 2, 3]);
    await bed.admin.xreadgroup('GROUP', 'v1', 'sluice:dead:1:a-1', 'COUNT', 1, 'STREAMS', 'tasks', '>');
    await until(
      async () => (await queue.groups('tasks').list()).some(({ name, waiting }) => name === 'v2' && !waiting),
      {
        what: 'v2 is done',
      },
    );
    const [worker] = await queue.workers('tasks');
    const groups = await queue.groups('tasks').list();
    expect(groups.find(({ name }) => name === 'v2')).toMatchObject({ waiting: 0, consumers: [worker?.consumer] });
    expect(groups.find(({ name }) => name === 'v1')).toEqual({ name: 'v1', waiting: 2, running: 1, consumers: [] });

    await expect(queue.groups('tasks').drop('v2')).rejects.toMatchObject({ code: 'SLUICE_QUEUE_GROUP_IN_USE' });
    expect(await queue.groups('tasks').drop('v1')).toBe(true);
    expect(await queue.groups('tasks').drop('v1')).toBe(false);
    expect(await bed.admin.exists('{tasks}:~delayed:v1')).toBe(0);
    await bed.untilSettled();
  });

  it('are not dropped under consumers of other software, and are for what was returned', async () => {
    const { queue } = await bed.start({ queue: { consumers: false } });
    await queue.publish('tasks', 1);
    for (const [group, consumer] of [
      ['foreign', 'somebody-else'],
      ['left', RELEASED],
    ] as const) {
      await bed.admin.xgroup('CREATE', 'tasks', group, '0');
      await bed.admin.xreadgroup('GROUP', group, consumer, 'COUNT', 1, 'STREAMS', 'tasks', '>');
    }
    const groups = queue.groups('tasks');
    expect(await groups.list()).toMatchObject([{ consumers: ['somebody-else'] }, { consumers: [] }]);
    await expect(groups.drop('foreign')).rejects.toMatchObject({ code: 'SLUICE_QUEUE_GROUP_IN_USE' });
    expect(await groups.drop('left')).toBe(true);
  });

  it('that nobody reads are reported once, and when they are gone', async () => {
    const lines: string[] = [];
    const messages: unknown[] = [];
    const onMessage = (message: unknown): void => void messages.push(message);
    subscribe(QUEUE_CHANNELS.groupUnread, onMessage);
    subscribe(QUEUE_CHANNELS.groupRead, onMessage);
    try {
      const { queue } = await bed.start({
        handlers: { tasks: { run: () => {}, options: { group: 'v2' } } },
        queue: { leaseMs: 100 },
        logged: (level, message) => level === 'warn' && lines.push(message),
      });
      await bed.admin.xgroup('CREATE', 'tasks', 'v1', '0');
      await queue.publish('tasks', 1);
      await until(() => messages.length === 1, { what: 'it is reported' });
      expect(messages).toEqual([{ queue: 'tasks', group: 'v1', waiting: 1, running: 0 }]);
      expect(queue.stats()).toMatchObject({ unreadGroups: 1, unreadReports: 1 });
      expect(lines.filter((line) => line.includes("queue.groups('tasks').drop('v1')"))).toHaveLength(1);
      expect(await queue.groups('tasks').drop('v1')).toBe(true);
      await bed.admin.xgroup('CREATE', 'tasks', 'v3', '$');
      await until(() => messages.length === 2, { what: 'it is over' });
      expect(messages[1]).toMatchObject({ queue: 'tasks', group: 'v1' });
      expect(queue.stats()).toMatchObject({ unreadGroups: 0, unreadReports: 1 });
    } finally {
      unsubscribe(QUEUE_CHANNELS.groupUnread, onMessage);
      unsubscribe(QUEUE_CHANNELS.groupRead, onMessage);
    }
  });
});

describe('a process whose handlers read in two groups', () => {
  class Bills {
    @TaskHandler('tasks', { group: 'bills' })
    run(): string {
      return 'paid';
    }
  }
  @Module({ providers: [Bills] })
  class BillsModule {}

  it('reports a third one that nobody reads once', async () => {
    const unread: unknown[] = [];
    const onMessage = (message: unknown): void => void unread.push((message as GroupUnreadMessage).group);
    subscribe(QUEUE_CHANNELS.groupUnread, onMessage);
    try {
      const { queue } = await bed.start({
        imports: [BillsModule],
        handlers: { tasks: { run: () => {}, options: { group: 'mails' } } },
        queue: { leaseMs: 100 },
      });
      await bed.admin.xgroup('CREATE', 'tasks', 'first', '0');
      await queue.publish('tasks', 1);
      await until(() => unread.includes('first'), { what: 'it is reported' });
      // Reported twelve leases later, when all that is to be said of the first one has been said.
      await bed.admin.xgroup('CREATE', 'tasks', 'second', '0');
      await until(() => unread.includes('second'), { what: 'the other one is reported' });
      expect(unread).toEqual(['first', 'second']);
      expect(queue.stats()).toMatchObject({ unreadGroups: 2, unreadReports: 2 });
    } finally {
      unsubscribe(QUEUE_CHANNELS.groupUnread, onMessage);
    }
  });
});

describe('dead letters', () => {
  it('are kept as the options say: the newest, and those that are not too old', async () => {
    const why = ['original_id', 'one', 'reason', 'max-attempts', 'group', 'sluice'];
    const old = `${Date.now() - 60_000}-0`;
    await bed.admin.xadd('{tasks}:~dead', old, 'payload', '0', ...why);
    for (let n = 1; n <= 5; n++) await bed.admin.xadd('{tasks}:~dead', '*', 'payload', String(n), ...why);
    const { queue, app } = await bed.start({
      handlers: { tasks: () => {} },
      queue: { leaseMs: 200, dead: { keepMs: 30_000 } },
    });
    await until(async () => (await queue.counts('tasks')).dead === 5, { what: 'the old one is deleted' });
    await app.close();
    await bed.start({ handlers: { tasks: () => {} }, queue: { leaseMs: 200, dead: { keep: 2 } } });
    await until(async () => (await bed.admin.xlen('{tasks}:~dead')) === 2, { what: 'two are kept' });
    expect((await bed.admin.xrange('{tasks}:~dead', '-', '+')).map(([, fields]) => fields[1])).toEqual(['4', '5']);
  });
});
