import { expect } from '@jest/globals';
import type { QueueService, Task } from 'nestjs-sluice/queue';
import type { TestingQueue } from 'nestjs-sluice/testing';
import { until } from '../../support/until.js';
import { noted, refused, works, type Combination, type Row } from './combination.js';
import { A, AFTER, B, LONG_MS, fail, type CombinationKit, type Handled, type Run } from './combination.kit.js';
import { BATCH } from './batch.rows.js';
import { FAILING, THEN, failuresOf } from './ends.rows.js';
import { DONE, Heard } from './events.rows.js';
import { FOLLOW } from './follow-up.rows.js';
import { twoGroups } from './groups.rows.js';
import { DUE, REPLACE, SKIP, collectTwo } from './keys.rows.js';
import { FLEET, RATE, most } from './limits.rows.js';
import { Ordered } from './order.rows.js';
import { PER_KEY } from './per-key.rows.js';
import { SHARES } from './priority.rows.js';
import { runSchedule } from './times.rows.js';

const COUNT = '{tasks}:count';
/** In the slot of `tasks`, beside {@link AFTER}. */
const OTHER = '{tasks}.other';
const ELSEWHERE = 'elsewhere';
const CROSS_SLOT = { code: 'SLUICE_CROSS_SLOT' };

/** Notes a count and a task that follows, for each member of a batch, and goes on as `run`. */
const notes =
  (run: Run = () => undefined, after = AFTER): Run =>
  (given) => {
    const tasks = Array.isArray(given) ? (given as (typeof given)[]) : [given];
    for (const task of tasks) {
      task.onAck([['incrby', COUNT, 1]]);
      task.next(after, task.payload);
    }
    return run(given);
  };

/** What follows a task is a further one of the same queue. */
const again =
  (...payloads: number[]): Run =>
  (task) => {
    if (Number(task.payload) === 1) for (const payload of payloads) task.next('tasks', payload);
  };

/** Waits until tasks with these payloads, and no other, were acknowledged with what they had noted. */
async function acknowledged(
  kit: CombinationKit,
  queue: QueueService,
  payloads: unknown[],
  { after = AFTER, onSlots = false } = {},
): Promise<void> {
  await kit.untilCounts(queue, { waiting: payloads.length }, after);
  const { tasks } = await queue.list(after);
  expect(tasks.map(({ payload }) => payload)).toEqual(payloads);
  expect(await kit.value(COUNT, { onSlots })).toBe(String(payloads.length));
}

/** Of what `publish` publishes, tasks with these payloads note and are acknowledged. */
const goes = (
  publish: (queue: QueueService) => Promise<unknown>,
  payloads: unknown[],
  handled: Handled = {},
): Combination =>
  works(async (kit) => {
    const queue = await kit.on('tasks', { ...handled, run: notes() }).start();
    await publish(queue);
    await acknowledged(kit, queue, payloads);
    await kit.untilDone(queue);
  });

/** What a handler gets that notes what is refused. */
function thrownBy(note: () => void): unknown {
  try {
    note();
    return undefined;
  } catch (error) {
    return error;
  }
}

/** Tasks of such a handler take no notes: both methods throw. */
const refusedBy = (on: typeof Ordered | 'tasks', payload: unknown, handled: Handled = {}): Combination =>
  refused('SLUICE_BAD_OPTION', async (start, kit) => {
    const thrown: unknown[] = [];
    const run: Run = (task) => {
      const next = thrownBy(() => {
        task.next(AFTER, 1);
      });
      const write = thrownBy(() => {
        task.onAck([['del', COUNT]]);
      });
      thrown.push(...[next, write].filter(Boolean));
    };
    kit.on(on, { ...handled, run });
    const queue = await start();
    await queue.publish(on as string, payload);
    await (queue as unknown as Partial<TestingQueue>).drain?.();
    await until(() => thrown.length === 2, { what: 'both are refused' });
    throw thrown[0];
  });

/** Resolves when the task is cancelled. */
const aborted = ({ signal }: Task<never>): Promise<void> =>
  new Promise((resolve) => {
    signal.addEventListener('abort', () => {
      resolve();
    });
  });

export const notesRow: Row = {
  feature: 'next and onAck',
  with: {
    'named tasks': works(async (kit) => {
      const run: Run = (task) => {
        task.onAck([['incrby', '{files}:count', 1]]);
        task.next(B, 'b');
      };
      const queue = await kit.on(A, { run }).on(B).start();
      await queue.publish(A, 'a');
      await kit.untilRan('a', 'b');
      expect(await kit.value('{files}:count')).toBe('1');
    }),
    'publishUnique skip': works(async (kit) => {
      const queue = await kit.on('tasks', { run: notes() }).start();
      await queue.publishUnique('tasks', 1, SKIP);
      await acknowledged(kit, queue, [1]);
      expect((await queue.publishUnique('tasks', 2, SKIP)).outcome).toBe('published');
    }),
    'publishUnique replace': goes(
      async (queue) => {
        await queue.pause('tasks');
        for (const n of [1, 2]) await queue.publishUnique('tasks', n, REPLACE);
        await queue.resume('tasks');
      },
      [2],
    ),
    'publishUnique debounce': goes((queue) => queue.publishUnique('tasks', 1, DUE), [1]),
    collect: goes(collectTwo, [[1, 2]]),
    delays: goes((queue) => queue.publish('tasks', 1, { delayMs: 5 }), [1]),
    schedules: goes((queue) => runSchedule(queue, 'due'), ['due']),
    'concurrency.fleet': works(async (kit) => {
      const queue = await kit.on('tasks', { ...FLEET, run: notes(kit.hold) }).start();
      await queue.publishMany('tasks', [1, 2]);
      await kit.untilCounts(queue, { running: 1, waiting: 1 });
      kit.open();
      await acknowledged(kit, queue, [1, 2]);
    }),
    rateLimit: works(async (kit) => {
      const queue = await kit.on('tasks', { ...RATE, run: again(2) }).start();
      await queue.publish('tasks', 1);
      await kit.untilCounts(queue, { running: 0, waiting: 1 });
      await kit.untilRan(1);
    }),
    maxLength: noted(async (kit) => {
      const queue = await kit.on('tasks', { ...RATE, run: again(2, 3) }).start(most(1));
      await queue.publish('tasks', 1);
      await kit.untilCounts(queue, { running: 0, waiting: 2 });
      await expect(queue.publish('tasks', 4)).rejects.toMatchObject({ code: 'SLUICE_QUEUE_FULL' });
    }),
    deadLetterTo: works(async (kit) => {
      const run: Run = (task) => {
        task.onAck([['incrby', COUNT, 1]]);
        if (Number(task.payload) === 1) throw new Error('no');
        task.onAck([['sadd', COUNT, 'x']]);
      };
      const queue = await kit
        .on('tasks', { ...FAILING, run })
        .on(AFTER)
        .start();
      await queue.publish('tasks', 1);
      await failuresOf(kit, 1);
      await queue.publish('tasks', 2);
      const [, refusal] = await failuresOf(kit, 2);
      expect([refusal?.payload, refusal?.error.includes('SADD')]).toEqual([2, true]);
      expect(await kit.value(COUNT)).toBeNull();
    }),
    whenAllSettled: noted(async (kit) => {
      const queue = await kit
        .on('tasks', { run: notes(undefined, OTHER) })
        .on(AFTER)
        .start();
      await queue.publishMany('tasks', [1, 2], THEN);
      expect(await kit.ranOn(AFTER, 1)).toMatchObject([{ counts: { total: 2, completed: 2 } }]);
      await acknowledged(kit, queue, [1, 2], { after: OTHER });
    }),
    publishAndWait: works(async (kit) => {
      const queue = await kit.on('tasks', { run: notes() }).start();
      expect(await queue.publishAndWait('tasks', 1, { timeoutMs: LONG_MS })).toBe(1);
      expect(await kit.value(COUNT)).toBe('1');
      expect(await queue.counts(AFTER)).toMatchObject({ waiting: 1 });
    }),
    batch: works(async (kit) => {
      const run = notes((batch) => {
        (batch as unknown as Task<never>[])[0]!.fail(new Error('alone'));
      });
      const queue = await kit.on('tasks', { ...BATCH, maxAttempts: 1, run }).start();
      await queue.publishMany('tasks', [1, 2]);
      await acknowledged(kit, queue, [2]);
      await kit.untilCounts(queue, { dead: 1, running: 0 });
    }),
    cancel: noted(async (kit) => {
      const run = notes((task) => (Number(task.payload) === 1 ? aborted(task) : kit.hold(task)));
      const queue = await kit.on('tasks', { run }).start();
      const ids = await queue.publishMany('tasks', [1, 2]);
      await kit.untilRan(1, 2);
      for (const id of ids) expect(await queue.cancel('tasks', id)).toBe('aborting');
      await kit.untilDone(queue);
      await acknowledged(kit, queue, [1]);
    }),
    'several groups': noted(async (kit) => {
      const run =
        (group: string): Run =>
        (task) => {
          task.next(AFTER, group);
        };
      const queue = await twoGroups(kit, { run: run('one') }, { run: run('two') }).start();
      await queue.publish('tasks', 1);
      await kit.untilCounts(queue, { waiting: 2 }, AFTER);
      const { tasks } = await queue.list(AFTER);
      expect(tasks.map(({ payload }) => payload).sort()).toEqual(['one', 'two']);
    }),
    pause: works(async (kit) => {
      const run: Run = async (task) => {
        if (Number(task.payload) === 2) return;
        task.next('tasks', 2);
        await kit.hold(task);
      };
      const queue = await kit.on('tasks', { run }).start();
      await queue.publish('tasks', 1);
      await kit.untilRan(1);
      await queue.pause('tasks');
      kit.open();
      await kit.untilCounts(queue, { running: 0, waiting: 1 });
      expect(kit.ran).toEqual([1]);
      await queue.resume('tasks');
      await kit.untilRan(1, 2);
    }),
    redrive: works(async (kit) => {
      const queue = await kit.on('tasks', { maxAttempts: 1, run: notes(kit.failing) }).start();
      await queue.publish('tasks', 1);
      await kit.untilCounts(queue, { dead: 1, running: 0 });
      expect(await kit.value(COUNT)).toBeNull();
      kit.fix();
      await queue.dead('tasks').redrive();
      await acknowledged(kit, queue, [1]);
    }),
    SluiceTestingModule: noted(async (kit) => {
      const { queue } = await kit
        .on('tasks', { run: notes(undefined, ELSEWHERE) })
        .on(ELSEWHERE)
        .testing();
      await queue.publish('tasks', 1);
      expect(await queue.drain()).toEqual({ completed: 2, dead: 0 });
      expect([kit.ran, queue.written]).toEqual([[1, 1], [['incrby', COUNT, 1]]]);
      kit.forget();
      const failing = await kit.on('tasks', { maxAttempts: 1, run: notes(fail) }).testing();
      await failing.queue.publish('tasks', 1);
      expect(await failing.queue.drain()).toEqual({ completed: 0, dead: 1 });
      expect([failing.queue.written, failing.queue.published(AFTER)]).toEqual([[], []]);
    }),
    Cluster: noted(async (kit) => {
      const thrown: unknown[] = [];
      const run = notes((task) => {
        const next = thrownBy(() => {
          task.next(ELSEWHERE, 1);
        });
        const write = thrownBy(() => {
          task.onAck([['del', ELSEWHERE]]);
        });
        thrown.push(next, write);
      });
      const queue = await kit.on('tasks', { run }).start({}, { onSlots: true });
      await queue.publish('tasks', 1);
      await acknowledged(kit, queue, [1], { onSlots: true });
      expect(thrown).toMatchObject([CROSS_SLOT, CROSS_SLOT]);
    }),
    'publishUnique follow-up': works(async (kit) => {
      const queue = await kit.on('tasks', { run: notes(kit.hold) }).start();
      await queue.publishUnique('tasks', 1, FOLLOW);
      await kit.untilRan(1);
      expect((await queue.publishUnique('tasks', 2, FOLLOW)).outcome).toBe('follows');
      kit.open();
      await acknowledged(kit, queue, [1, 2]);
    }),
    priority: noted(async (kit) => {
      const thrown: unknown[] = [];
      const run: Run = (task) => {
        if (task.payload === 'next') return kit.hold(task);
        task.next('tasks', 'next');
        const next = thrownBy(() => {
          task.next('tasks', 'next', { priority: 'high' } as never);
        });
        thrown.push(next);
        return undefined;
      };
      const queue = await kit.on('tasks', { run }).start(SHARES);
      await queue.publish('tasks', 1, { priority: 'high' });
      await kit.untilRan(1, 'next');
      expect(thrown).toMatchObject([{ code: 'SLUICE_BAD_OPTION' }]);
      expect((await queue.counts('tasks')).levels).toMatchObject({ normal: { running: 1 }, high: { running: 0 } });
    }),
    orderingKey: refusedBy(Ordered, 'a1'),
    'concurrency.perKey': refusedBy('tasks', { c: 'a' }, PER_KEY),
    'progress and events': works(async (kit) => {
      const run = notes((task) => {
        task.progress('half');
      });
      const queue = await kit.on('tasks', { run }).on(AFTER).start();
      const heard = await new Heard().listen(kit, queue);
      const after = await new Heard().listen(kit, queue, AFTER);
      await queue.publish('tasks', 1);
      expect(await heard.ended(1)).toEqual([DONE]);
      expect(await after.ended(1)).toEqual(['started, completed']);
      expect(await kit.value(COUNT)).toBe('1');
    }),
  },
};
