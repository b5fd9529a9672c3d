import { describe, expect, it } from '@jest/globals';
import { QueueBed } from '../../test/support/queue-bed.js';
import type { QueueApp } from '../../test/support/queue-app.js';
import { defineQueue } from './index.js';
import { itAsDefaultUser, withoutRight } from '../../test/support/refused-commands.js';
import { until } from '../../test/support/until.js';

const LEASE_MS = 500;

const bed = new QueueBed();

/** The default of `ACL SETUSER` since Redis 7: all commands and keys, no channel. */
async function withoutChannels(handler: () => void): Promise<QueueApp> {
  await bed.admin.call('ACL', 'SETUSER', 'app', 'on', '>secret', '~*', '+@all', 'resetchannels');
  return bed.start({ handlers: { tasks: handler }, queue: { leaseMs: LEASE_MS } }, 'app');
}

describe('a user of Redis without rights on channels', () => {
  it('publishes, pauses and resumes: what was written is not reported as refused', async () => {
    let runs = 0;
    const { queue } = await withoutChannels(() => {
      runs++;
    });
    await queue.publish('tasks', 1, { delayMs: 100 });
    await until(() => runs === 1, { what: 'the delayed task runs' });
    await until(async () => (await queue.workers('tasks')).length === 1, { what: 'it holds a lease' });
    const [worker] = await queue.workers('tasks');
    expect(await queue.pause('tasks')).toEqual({ changed: true, unconfirmed: [worker?.consumer] });
    await until(async () => (await queue.counts('tasks')).paused, { what: 'it is paused' });
    expect(await queue.resume('tasks')).toBe(true);
    await queue.publish('tasks', 2);
    await until(() => runs === 2, { what: 'it goes on' });
  });
});

describe.each([
  ['CLIENT INFO', '-client|info'],
  ['CLIENT INFO and CLIENT ID', '-client|info -client|id'],
  ['CLIENT KILL', '-client|kill'],
  ['CLIENT UNBLOCK', '-client|unblock'],
  ['all of CLIENT', '-client'],
])('a server that refuses %s', (_, refused) => {
  /** An app of that user, with a queue of one slow task at a time beside a queue that is idle. */
  async function boot(run: (payload: number) => Promise<void> | void): Promise<QueueApp & { told: string[] }> {
    await bed.admin.call('ACL', 'SETUSER', 'app', 'on', '>secret', '~*', '&*', '+@all', ...refused.split(' '));
    const told: string[] = [];
    const app = await bed.start(
      {
        handlers: {
          slow: { run: (task) => run(task.payload), options: { concurrency: 1 } },
          idle: () => {},
        },
        queue: { leaseMs: LEASE_MS },
        logged: (level, message) => {
          if (level !== 'log') told.push(message);
        },
      },
      'app',
    );
    return { ...app, told };
  }

  it('lets a queue run one task after the other, beside a queue that is idle', async () => {
    const ran: number[] = [];
    const { queue, told } = await boot((payload) => void ran.push(payload));
    for (const payload of [1, 2, 3]) await queue.publish('slow', payload);
    await until(() => ran.length === 3, { what: 'all ran' });
    expect(told.filter((line) => /refuse|failed|NOPERM/.test(line))).toEqual([]);
  });

  it('lets it go on after its socket was lost, also with the task that was under way', async () => {
    const ran: number[] = [];
    const { queue } = await boot((payload) => void ran.push(payload));
    await queue.publish('slow', 1);
    await until(() => ran.length === 1, { what: 'it runs' });
    await bed.admin.call('CLIENT', 'KILL', 'USER', 'app');
    await until(
      () =>
        queue
          .publish('slow', 2)
          .then(() => true)
          .catch(() => false),
      { what: 'it is back' },
    );
    await until(() => ran.includes(2), { what: 'it goes on' });
  });

  it('lets raw.consume wait for a task, and end by a stop', async () => {
    const { queue, app } = await boot(() => {});
    await bed.admin.xgroup('CREATE', 'raw', 'g', '0', 'MKSTREAM');
    await queue.raw.publish('raw', 'a');
    expect(await queue.raw.consume('g', 'me', 'raw', 1, 60_000)).toHaveLength(1);
    const waiting = queue.raw.consume('g', 'me', 'raw', 1, 500);
    await app.close();
    expect(await waiting.catch(() => [])).toEqual([]);
  });
});

describe.each(['xadd', 'zadd', 'hset', 'xdel', 'xack', 'zrem', 'hdel'])(
  'a user who loses %s while tasks fail',
  (command) => {
    it('loses none of them: each is tried again when the right is back', async () => {
      await bed.admin.call('ACL', 'SETUSER', 'app', 'on', '>secret', '~*', '&*', '+@all');
      const ran: number[] = [];
      let failed = 0;
      await bed.start(
        {
          handlers: {
            tasks: {
              run: ({ attempt, payload }) => {
                if (attempt > 1) ran.push(payload);
                else {
                  failed++;
                  throw new Error('as asked');
                }
              },
              options: { backoff: 5, maxAttempts: 100 },
            },
          },
          queue: { leaseMs: LEASE_MS },
        },
        'app',
      );
      const { queue } = await bed.start({});
      await queue.publishMany('tasks', [0, 1, 2, 3, 4]);
      await until(() => ran.length === 5, { what: 'they run' });
      await bed.admin.call('ACL', 'SETUSER', 'app', `-${command}`);
      await queue.publishMany('tasks', [5, 6, 7, 8, 9]);
      await queue.publishMany('tasks', [10, 11, 12, 13, 14], { delayMs: 1 });
      await until(() => failed >= 10, { what: 'some fail without the right' });
      await bed.admin.call('ACL', 'SETUSER', 'app', `+${command}`);
      await until(() => new Set(ran).size === 15, { what: 'all have run' });
    });
  },
);

itAsDefaultUser.each(['xadd', 'hset', 'pexpire', 'set'])(
  'a user without %s publishes nothing under a key: what is refused is not done',
  async (command) => {
    const { queue } = await bed.start({});
    await withoutRight(bed.admin, command, () =>
      expect(queue.publishUnique('tasks', 1, { key: 'k' })).rejects.toMatchObject({
        refusal: 'NOPERM',
        outcome: 'not-sent',
      }),
    );
    expect(await bed.admin.keys('*tasks*')).toEqual([]);
  },
);

describe('a user who lacks a right that a call needs half-way', () => {
  const noperm = { refusal: 'NOPERM', outcome: 'not-sent' };
  const members = { whenAllSettled: { queue: '{tasks}.settled', payload: 1 } };

  itAsDefaultUser.each(['xdel', 'hset', 'xadd', 'unlink'])('removes no waiting task without %s', async (command) => {
    const { queue } = await bed.start({});
    const [id = ''] = await queue.publishMany('tasks', [1], members);
    await withoutRight(bed.admin, command, async () => {
      await expect(queue.remove('tasks', id)).rejects.toMatchObject(noperm);
      await expect(queue.purge('tasks', 'waiting')).rejects.toMatchObject(noperm);
    });
    expect(await queue.remove('tasks', id)).toBe(true);
    expect(await bed.admin.xlen('{tasks}.settled')).toBe(1);
  });

  itAsDefaultUser.each(['hdel', 'hset', 'xadd', 'unlink'])('removes no delayed task without %s', async (command) => {
    const { queue } = await bed.start({});
    const [id = ''] = await queue.publishMany('tasks', [1], { ...members, delayMs: 3_600_000 });
    await withoutRight(bed.admin, command, async () => {
      await expect(queue.remove('tasks', id)).rejects.toMatchObject(noperm);
      await expect(queue.purge('tasks', 'delayed')).rejects.toMatchObject(noperm);
    });
    expect(await queue.remove('tasks', id)).toBe(true);
    expect(await bed.admin.xlen('{tasks}.settled')).toBe(1);
  });

  itAsDefaultUser.each(['zadd', 'hset'])('publishes nothing with a delay without %s', async (command) => {
    const { queue } = await bed.start({});
    await withoutRight(bed.admin, command, async () => {
      for (const to of [defineQueue('tasks'), defineQueue('tasks', { maxLength: { limit: 9 } })]) {
        await expect(queue.publish(to, 1, { delayMs: 3_600_000 })).rejects.toMatchObject({ outcome: 'not-sent' });
      }
    });
    expect(await bed.admin.keys('*tasks*')).toEqual([]);
  });

  itAsDefaultUser('retries no raw task without xadd: it stays pending', async () => {
    const { queue } = await bed.start({});
    await bed.admin.xgroup('CREATE', 'raw', 'g', '0', 'MKSTREAM');
    await queue.raw.publish('raw', 'a');
    const [first] = await queue.raw.consume('g', 'me', 'raw', 1, 0);
    const { id = '' } = first ?? {};
    await withoutRight(bed.admin, 'xadd', () =>
      expect(
        queue.raw.retry('raw', id, 'a', 0, '{raw}:retries', '{raw}:dead', 3, { group: 'g' }),
      ).rejects.toMatchObject(noperm),
    );
    expect(await bed.admin.xpending('raw', 'g')).toMatchObject({ 0: 1 });
  });
});
