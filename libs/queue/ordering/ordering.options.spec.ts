import { describe, expect, it } from '@jest/globals';
import { OrderedBed, Ordered } from '../../../test/support/ordered-bed.js';
import { defineQueue, type TaskSpecs } from '../index.js';

const bed = new OrderedBed();
const byKey = { orderingKey: ({ key }: { key: string }) => key };
const refused = (message: string): unknown =>
  expect.objectContaining({ code: 'SLUICE_BAD_OPTION', message: expect.stringContaining(message) });
const caught = async (call: () => unknown): Promise<unknown> => {
  try {
    await call();
  } catch (error) {
    return error;
  }
  return 'nothing was thrown';
};

describe('defineQueue', () => {
  it.each<[string, () => unknown]>([
    ['orderingKey must be a function', () => defineQueue('q', { orderingKey: 'key' as never })],
    ['afterDeadLetter must be', () => defineQueue('q', { ...byKey, afterDeadLetter: 'halt' as never })],
    ['afterDeadLetter must be left out without orderingKey', () => defineQueue('q', { afterDeadLetter: 'stop' })],
    ['shares must be left out beside orderingKey', () => defineQueue('q', { ...byKey, shares: true })],
    [
      'orderingKey must be left out beside tasks',
      () => defineQueue('q', { tasks: { a: {} }, ...byKey } as unknown as { tasks: TaskSpecs }),
    ],
  ])('%s', async (message, call) => {
    expect(await caught(call)).toEqual(refused(message));
  });

  it('keeps the order when the results get a type', () => {
    expect(defineQueue<{ key: string }>('q', byKey).returning<number>()).toMatchObject({
      ordering: { afterDeadLetter: 'continue' },
    });
  });
});

describe('a publish', () => {
  it.each<[string, unknown]>([
    ['a number', 7],
    ['an empty text', ''],
    ['a text with NUL', 'a\0b'],
    ['a text that is too long', 'x'.repeat(257)],
    ['a broken text', '\ud800'],
  ])('refuses %s as a key', async (_, key) => {
    const { queue } = await bed.start({});
    expect(await caught(() => queue.publish(Ordered, { key: key as string, n: 0 }))).toEqual(
      refused("publish: what the orderingKey of 'tasks' returned must be a text of 1 to 256 bytes"),
    );
    expect(
      await caught(() =>
        queue.publishMany(Ordered, [
          { key: 'a', n: 0 },
          { key: key as string, n: 1 },
        ]),
      ),
    ).toEqual(refused('publishMany: payloads[1]: what the orderingKey'));
    expect(await bed.admin.exists('tasks')).toBe(0);
  });

  it('refuses a function that makes keys later, and handles its rejection', async () => {
    const { queue } = await bed.start({});
    const later = (() => Promise.reject(new Error('x'))) as never;
    const Later = defineQueue<string>('tasks', { orderingKey: later });
    expect(await caught(() => queue.publish(Later, 'a'))).toEqual(
      refused("publish: what the orderingKey of 'tasks' returned must be a text, not a promise"),
    );
  });

  it('takes the key of the call before that of the queue, also of single payloads', async () => {
    const { queue } = await bed.start({});
    await queue.publish(Ordered, { key: 'a', n: 0 }, { orderingKey: 'b' });
    await queue.publishMany(Ordered, [{ key: 'a', n: 1 }], ({ n }) => ({ orderingKey: `c${n}` }));
    await queue.publishMany(Ordered, [{ key: 'a', n: 2 }], { maxAttempts: 2 });
    await queue.publish('tasks', 1, { orderingKey: 'd' });
    const rows = await bed.admin.xrange('tasks', '-', '+');
    expect(rows.map(([, fields]) => fields.slice(-2))).toEqual(
      ['b', 'c1', 'a', 'd'].map((key) => ['ordering_key', key]),
    );
  });

  it('refuses a key where there is no order, and what has none', async () => {
    const { queue } = await bed.start({});
    const Plain = defineQueue<number>('plain');
    const cases: [string, () => unknown][] = [
      [
        "publish: orderingKey must be left out: queue 'plain' is not ordered",
        () => queue.publish(Plain, 1, { orderingKey: 'a' }),
      ],
      ['orderingKey must be', () => queue.publish('plain', 1, { orderingKey: '' })],
      [
        "publishMany: orderingKey must be left out: queue 'plain'",
        () => queue.publishMany(Plain, [1], { orderingKey: 'a' }),
      ],
      ['publish: priority must be left out', () => queue.publish(Ordered, { key: 'a', n: 0 }, { priority: 'high' })],
      ['publish: priority must be left out', () => queue.publish('tasks', 1, { orderingKey: 'a', priority: 'low' })],
      [
        "publishUnique: queue 'tasks' has an orderingKey",
        () => queue.publishUnique(Ordered, { key: 'a', n: 0 }, { key: 'x' }),
      ],
      [
        'publishUnique: orderingKey must be left out',
        () => queue.publishUnique('tasks', 1, { key: 'x', orderingKey: 'a' } as never),
      ],
      [
        "collect: queue 'lists' has an orderingKey",
        () => queue.collect(defineQueue<number[]>('lists', { orderingKey: () => 'a' }), 1, { key: 'x', waitMs: 1 }),
      ],
      ["schedules: queue 'tasks' has an orderingKey", () => queue.schedules(Ordered)],
      [
        "publishMany: whenAllSettled: queue 'tasks' has an orderingKey",
        () => queue.publishMany(Plain, [1], { whenAllSettled: { queue: Ordered as never, payload: 1 } }),
      ],
    ];
    for (const [message, call] of cases) expect(await caught(call)).toEqual(refused(message));
  });
});

describe('a boot is refused', () => {
  const boot = (handler: object, queue = {}): Promise<unknown> =>
    caught(() => bed.start({ handlers: { tasks: { run: () => {}, ...handler } }, queue }));

  it('with a schedule on an ordered queue', async () => {
    expect(await boot({ definition: Ordered, schedules: [['nightly', '0 3 * * *']] })).toEqual(
      refused("queue 'tasks' has an orderingKey. Tasks of schedules have no key"),
    );
  });

  it('with failures that go to an ordered queue', async () => {
    expect(await boot({ options: { deadLetterTo: defineQueue('{tasks}.dead', { orderingKey: () => 'a' }) } })).toEqual(
      refused("deadLetterTo: queue '{tasks}.dead' has an orderingKey"),
    );
  });

  it('with levels of priority by the configuration', async () => {
    expect(await boot({ definition: Ordered }, { queues: { tasks: { shares: true } } })).toEqual(
      refused("the shares of queue 'tasks'"),
    );
  });
});
