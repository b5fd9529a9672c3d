import { beforeAll, describe, expect, it } from '@jest/globals';
import { commandDelta } from '../../../test/support/command-delta.js';
import { gate } from '../../../test/support/gate.js';
import { ManualClock } from '../../../test/support/manual-clock.js';
import { startQueueApp } from '../../../test/support/queue-app.js';
import { QueueBed } from '../../../test/support/queue-bed.js';
import { until } from '../../../test/support/until.js';
import type { Task, TaskState } from '../index.js';
import { PageSize } from '../admin/page-size.js';
import { RELEASED } from '../store/queue.keys.js';
import { ConcurrencyWindow } from './concurrency-window.js';

const bed = new QueueBed();
const COUNT = 80;
/** 8 MB together. */
const payload = 'x'.repeat(100_000);
const payloads = new Array<string>(COUNT).fill(payload);
const delayMs = 3_600_000;

// Redis closes whom it would have to send more than that at a time.
beforeAll(() => bed.admin.config('SET', 'client-output-buffer-limit', 'normal 7mb 0 0'));

async function bury(): Promise<void> {
  const why = ['original_id', 'one', 'reason', 'max-attempts', 'group', 'sluice'];
  await Promise.all(
    payloads.map(() => bed.admin.xadd('{tasks}:~dead', '*', 'payload', JSON.stringify(payload), ...why)),
  );
}

describe('a queue with large payloads', () => {
  it.each<TaskState>(['waiting', 'running', 'delayed', 'dead'])(
    'lists what is %s in replies that Redis can hold',
    async (state) => {
      const { queue } = await bed.start({ queue: { consumers: false } });
      if (state === 'dead') await bury();
      else await queue.publishMany('tasks', payloads, state === 'delayed' ? { delayMs } : {});
      if (state === 'running') {
        await bed.admin.xgroup('CREATE', 'tasks', 'sluice', '0');
        for (let n = 0; n < COUNT; n++) {
          await bed.admin.xreadgroup('GROUP', 'sluice', 'foreign', 'COUNT', 1, 'STREAMS', 'tasks', '>');
        }
      }
      const { tasks, next } = await queue.list('tasks', { state, limit: 1_000 });
      expect(next).toBeUndefined();
      expect(new Set(tasks.map(({ id, entryId }) => entryId ?? id)).size).toBe(COUNT);
      expect(tasks.every((task) => task.payload === payload)).toBe(true);
    },
  );

  it('reads and moves dead letters a few at a time', async () => {
    const { queue } = await bed.start({ queue: { consumers: false } });
    await bury();
    const letters = queue.dead('tasks');
    expect((await letters.list({ limit: 1_000 })).tasks).toHaveLength(COUNT);
    const { result, calls } = await commandDelta(bed.admin, () => letters.redrive());
    expect(result).toBe(COUNT);
    // Four megabytes are about forty of them.
    expect(calls['evalsha']).toBeGreaterThanOrEqual(2);
  });
});

describe('a worker', () => {
  it('at the pace of small tasks reads few of the large ones that come after them, also those that another client added', async () => {
    const { opened, open } = gate();
    let small = 0;
    let large = 0;
    // More than 64 MB, by a producer of other software.
    const add = "for _ = 1, tonumber(ARGV[1]) do redis.call('XADD', 'tasks', '*', 'payload', ARGV[2]) end";
    await bed.admin.eval(add, 0, 4_000, '1');
    await bed.admin.eval(add, 0, 700, JSON.stringify(payload));
    await bed.start({
      handlers: {
        tasks: async (task: Task<number | string>) => {
          if (task.payload === 1) small++;
          else {
            large++;
            await opened;
          }
        },
      },
    });
    const { queue } = await bed.start({ queue: { consumers: false } });
    await until(() => large === 10, { what: 'all places have large ones' });
    // Of 700 it holds those that run, what is prefetched by size, and what the one read brought that met them first.
    expect((await queue.counts('tasks')).running).toBeLessThan(100);
    open();
    await bed.untilSettled();
    expect([small, large]).toEqual([4_000, 700]);
  });

  it('reads few tasks at a time where Redis does not say how much there is', async () => {
    await bed.admin.call('ACL', 'SETUSER', 'app', 'on', '>secret', '~*', '&*', '+@all', '-memory');
    await bed.admin.eval("for _ = 1, 2000 do redis.call('XADD', 'tasks', '*', 'payload', '1') end", 0);
    let ran = 0;
    const { app } = await startQueueApp({
      url: bed.redis.url.replace('redis://', 'redis://app:secret@'),
      handlers: { tasks: { run: () => ran++, options: { concurrency: 500 } } },
    });
    const { calls } = await commandDelta(bed.admin, () => until(() => ran === 2_000, { what: 'all ran' }));
    expect(calls['xreadgroup']).toBeGreaterThan(20);
    await app.close();
  });

  it('takes over the large tasks of a dead process a few at a time, and soon all', async () => {
    const { queue } = await bed.start({ queue: { consumers: false } });
    await queue.publishMany('tasks', payloads);
    await bed.admin.xgroup('CREATE', 'tasks', 'sluice', '0');
    await bed.admin.xreadgroup('GROUP', 'sluice', RELEASED, 'COUNT', 20, 'STREAMS', 'tasks', '>');
    let runs = 0;
    await bed.start({ handlers: { tasks: { run: () => runs++, options: { concurrency: 100 } } } });
    await until(() => runs === COUNT, { what: 'all have run' });
  });
});

describe('the window of a handler', () => {
  it('shrinks with the size of the tasks, at once, and grows back by halves', () => {
    const clock = new ManualClock();
    const window = new ConcurrencyWindow(10, clock);
    window.delivered(10, 10 * 2 ** 20);
    expect(window.readMost).toBe(16);
    window.delivered(10, 0);
    expect(window.readMost).toBe(32);
  });
});

describe('a page', () => {
  it('has as many entries as fit, and grows by steps', () => {
    const size = new PageSize(500);
    expect(size.count).toBe(25);
    size.saw(25, 25 * 100);
    expect(size.count).toBe(100);
    size.saw(100, 100 * 2 ** 20);
    expect(size.count).toBe(4);
    size.saw(4, 4 * 50 * 2 ** 20);
    expect(size.count).toBe(1);
    for (let n = 0; n < 9; n++) size.saw(1, 0);
    expect(size.count).toBe(500);
    expect(new PageSize(7).count).toBe(7);
  });
});
