import { describe, expect, it } from '@jest/globals';
import { itAsUsersSendIt } from '../../../test/support/cluster-mode.js';
import { gate } from '../../../test/support/gate.js';
import { QueueBed } from '../../../test/support/queue-bed.js';
import { until } from '../../../test/support/until.js';
import type { Task } from '../index.js';

// What a restart of Redis keeps, it has on disk.
const bed = new QueueBed({ args: ['--appendonly', 'yes', '--appendfsync', 'always'] });
const { start, untilSettled } = bed;

describe('a worker goes on', () => {
  it('while another queue of its process is no stream, and takes that up when it is', async () => {
    const seen: string[] = [];
    await bed.admin.set('sick', 'not a stream');
    const handlers = { well: () => void seen.push('well'), sick: () => void seen.push('sick') };
    const warnings: string[] = [];
    const { queue } = await start({ handlers, logged: (_level, message) => warnings.push(message) });
    await queue.publish('well', 1);
    await until(() => seen.length === 1, { what: 'the well one ran' });

    const rounds = 5;
    for (let round = 0; round < rounds; round++) {
      await bed.admin.del('sick');
      await queue.publish('sick', 1);
      await until(() => seen.length === 2 * round + 2, { what: 'the sick one ran' });
      await bed.admin.set('sick', 'again');
      await queue.publish('well', 1);
      await until(() => seen.length === 2 * round + 3, { what: 'the well one ran' });
    }
    expect(seen).toEqual(['well', ...Array.from({ length: rounds }, () => ['sick', 'well']).flat()]);
    // One read of both each time: the next one is without the sick one.
    expect(warnings.filter((message) => message.startsWith('reading for group')).length).toBeLessThanOrEqual(rounds);
  });

  itAsUsersSendIt('and begins on a Redis that is full, for its work makes room', async () => {
    const runs: number[] = [];
    const handlers = { tasks: (task: Task<number>) => void runs.push(task.payload) };
    const earlier = await start({ handlers });
    await earlier.queue.publish('tasks', 0);
    await untilSettled();
    await earlier.app.close();
    const { queue } = await start({ queue: { consumers: false } });
    await queue.publish('tasks', 1);
    await bed.admin.config('SET', 'maxmemory', '1');
    try {
      await expect(queue.publish('tasks', 2)).rejects.toThrow('OOM');
      await start({ handlers });
      await untilSettled();
    } finally {
      await bed.admin.config('SET', 'maxmemory', '0');
    }
    expect(runs).toEqual([0, 1]);
  });

  itAsUsersSendIt(
    'and is heard within a lease when Redis takes writes again, though its queue had to be opened anew',
    async () => {
      const leaseMs = 300;
      const { opened, open } = gate();
      let running = false;
      const { queue } = await start({
        handlers: {
          tasks: async () => {
            running = true;
            await opened;
          },
        },
        queue: { leaseMs },
      });
      await queue.publish('tasks', 1);
      await until(() => running, { what: 'it runs' });
      const alive = async (): Promise<boolean> => {
        const ends = Number((await bed.admin.zrange('{tasks}:~alive', '0', '-1', 'WITHSCORES'))[1] ?? 0);
        return ends > Date.now();
      };
      const failedCreates = async (): Promise<number> =>
        Number(/cmdstat_xgroup\|create:.*rejected_calls=(\d+)/.exec(await bed.admin.info('commandstats'))?.[1] ?? 0);
      await bed.admin.config('RESETSTAT');
      await bed.admin.config('SET', 'min-replicas-to-write', '1');
      try {
        // By then it opens the queue at most every few seconds.
        await until(async () => (await failedCreates()) >= 6, { what: 'it tried to open its queue again and again' });
      } finally {
        await bed.admin.config('SET', 'min-replicas-to-write', '0');
      }
      // Before the next of those attempts.
      await until(alive, { what: 'its lease runs', deadlineMs: 2_000 });
      open();
      await untilSettled();
    },
  );

  it('after FLUSHALL and SCRIPT FLUSH', async () => {
    let ran = 0;
    const { queue } = await start({
      handlers: {
        tasks: () => {
          ran++;
        },
        others: () => {},
      },
    });
    await queue.publish('tasks', 1);
    await until(() => ran === 1, { what: 'the first ran' });
    await bed.admin.flushall();
    await bed.admin.script('FLUSH');
    await queue.publish('tasks', 2);
    await until(() => ran === 2, { what: 'the second ran' });
    await untilSettled();
  });

  it.each([
    ['with', true],
    ['without', false],
  ])('after a restart of Redis %s its data, and settles what ran meanwhile', async (_what, keeps) => {
    const { opened, open } = gate();
    const runs: number[] = [];
    const { queue } = await start({
      handlers: {
        tasks: async (task: Task<number>) => {
          runs.push(task.payload);
          if (task.payload === 0) await opened;
        },
      },
      queue: { leaseMs: 300 },
    });
    await queue.publish('tasks', 0);
    await until(() => runs.length === 1, { what: 'the first runs' });
    if (!keeps) await bed.admin.flushall();
    await bed.redis.restart();
    open();
    await until(
      async () =>
        queue.publish('tasks', 1).then(
          () => true,
          () => false,
        ),
      { what: 'Redis is back' },
    );
    await until(() => runs.includes(1), { what: 'the second ran' });
    await untilSettled();
    expect(runs).toEqual([0, 1]);
  });
});
