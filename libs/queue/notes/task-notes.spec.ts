import { describe, expect, it } from '@jest/globals';
import { z } from 'zod';
import { Keyspace } from '../../redis/index.js';
import { BatchTask, Task, defineQueue, payload, type AckWrite } from '../index.js';
import { Delivery } from '../task/delivery.js';
import { inBatch } from '../task/batch-task.js';
import { withName, withPayload } from '../task/task.js';

const noting = { queue: 'orders', keyspace: new Keyspace('shop'), maxPayloadBytes: 1_000 };
const delivered = (over: Partial<typeof noting & { trace: () => object; hasKeys: boolean }> = {}): Delivery => {
  const fields = ['payload', '7', 'timestamp', '1', 'retry_count', '0', 'meta', ''];
  return new Delivery('orders', { id: '1-0', fields, deliveries: 1 }, 0, { ...noting, ...over });
};
const taskOf = (delivery: Delivery): Task => delivery.task!;
const KEY = '{shop:orders}:k';
const write = (...words: readonly unknown[]): AckWrite => words as unknown as AckWrite;

describe('a task that was made by hand', () => {
  it('lists what its handler has noted, in order', () => {
    const task = new Task({ payload: { id: 7 } });
    expect(task.noted).toEqual({ next: [], writes: [] });
    task.next(defineQueue<{ order: number }>('invoices'), { order: 7 }, { delayMs: 1_000 });
    task.onAck([['incrby', 'paid', 1]]);
    task.next('mails', 'thanks');
    task.onAck([
      ['hset', 'last', 'order', 7],
      ['expire', 'last', 60],
    ]);
    expect(task.noted).toEqual({
      next: [
        { queue: 'invoices', payload: { order: 7 }, options: { delayMs: 1_000 } },
        { queue: 'mails', payload: 'thanks', options: {} },
      ],
      writes: [
        ['incrby', 'paid', 1],
        ['hset', 'last', 'order', 7],
        ['expire', 'last', 60],
      ],
    });
  });

  it('still has its signal, or that of its test', () => {
    const caller = new AbortController();
    const task = new Task({ payload: 1, signal: caller.signal });
    task.onAck([['del', 'k']]);
    caller.abort();
    expect(task.signal.aborted).toBe(true);
    expect(new Task({ payload: 1 }).signal.aborted).toBe(false);
    expect(new Task({ payload: 1, signal: { signal: caller.signal } }).signal).toBe(caller.signal);
  });

  it('checks what does not depend on a queue', () => {
    const task = new BatchTask({ payload: 1 });
    expect(() => {
      task.next('mails', undefined);
    }).toThrow('payload is undefined');
    expect(() => {
      task.onAck([write('get', 'k')]);
    }).toThrow('in lower case');
    expect(task.noted).toEqual({ next: [], writes: [] });
  });
});

describe('a copy of a task', () => {
  it('notes where the task itself does', () => {
    const delivery = delivered();
    const copies = [
      withPayload(taskOf(delivery), 8),
      withName(taskOf(delivery), 'import'),
      inBatch(withPayload(taskOf(delivery), 9), { payload: 10 }),
    ];
    for (const [i, copy] of copies.entries()) copy.onAck([['set', KEY, i]]);
    expect(delivery.noted?.words).toEqual([0, 1, 2].map((i) => ['set', KEY, String(i)]));
    expect(copies[0]!.noted).toEqual(taskOf(delivery).noted);
  });
});

describe('tasks that follow', () => {
  const INVOICES = '{shop:orders}.invoices';

  it('are sent as they are when they are noted, with the trace that is active then', () => {
    let traceparent = 'first';
    const delivery = delivered({ trace: () => ({ traceparent }) });
    const given = { n: 1 };
    taskOf(delivery).next(INVOICES, given, { delayMs: 5, maxAttempts: 2 });
    [given.n, traceparent] = [2, 'second'];
    taskOf(delivery).next(INVOICES, given, { trace: { traceparent: 'own' } });
    expect(delivery.noted?.sent).toEqual([
      { queue: INVOICES, payload: '{"n":1}', options: { delayMs: 5, maxAttempts: 2, trace: { traceparent: 'first' } } },
      { queue: INVOICES, payload: '{"n":2}', options: { trace: { traceparent: 'own' } } },
    ]);
    expect(taskOf(delivery).noted.next[0]!.options).toEqual({ delayMs: 5, maxAttempts: 2 });
  });

  it('may go to their own queue, and to a named task', () => {
    const delivery = delivered();
    const Files = defineQueue('{shop:orders}', { tasks: { import: payload<number>() } });
    taskOf(delivery).next('orders', 1);
    taskOf(delivery).next(Files.tasks.import, 1);
    expect(delivery.noted?.sent.map(({ queue }) => queue)).toEqual(['orders', '{shop:orders}.import']);
  });

  const named = defineQueue('{shop:orders}', { tasks: { import: payload<number>() } });
  it.each<[what: string, note: (task: Task) => void, code: string, message: string]>([
    [
      'a queue in another slot',
      (task) => {
        task.next('invoices', 1);
      },
      'SLUICE_CROSS_SLOT',
      "'{shop:orders}.invoices'. Or publish before the task is acknowledged, under a key that is made of the task's id: queue.publishUnique(target, payload, { key: `${task.id}#0`, windowMs: 604_800_000 })",
    ],
    [
      'all named tasks of a queue',
      (task) => {
        task.next(named as unknown as string, 1);
      },
      'SLUICE_BAD_OPTION',
      'task.next: queue must be one task of',
    ],
    [
      'what is no JSON',
      (task) => {
        task.next(INVOICES, new Date());
      },
      'SLUICE_QUEUE_UNSERIALIZABLE',
      'payload is an instance of Date',
    ],
    [
      'a payload that is too large',
      (task) => {
        task.next(INVOICES, 'x'.repeat(1_000));
      },
      'SLUICE_QUEUE_PAYLOAD_TOO_LARGE',
      'maxPayloadBytes (1000)',
    ],
    [
      'a signal',
      (task) => {
        task.next(INVOICES, 1, { signal: new AbortController().signal } as object);
      },
      'SLUICE_BAD_OPTION',
      'task.next: signal must be left out',
    ],
    [
      'a priority',
      (task) => {
        task.next(INVOICES, 1, { priority: 'low' } as object);
      },
      'SLUICE_BAD_OPTION',
      'task.next: priority must be left out',
    ],
    [
      'an ordering key',
      (task) => {
        task.next(INVOICES, 1, { orderingKey: 'k' } as object);
      },
      'SLUICE_BAD_OPTION',
      'task.next: orderingKey must be left out',
    ],
    [
      'a queue with an order',
      (task) => {
        task.next(defineQueue<number>(INVOICES, { orderingKey: String }), 1);
      },
      'SLUICE_BAD_OPTION',
      "queue '{shop:orders}.invoices' has an orderingKey",
    ],
    [
      'a key',
      (task) => {
        task.next(INVOICES, 1, { key: 'k' } as object);
      },
      'SLUICE_BAD_OPTION',
      'task.next.key is not an option',
    ],
    [
      'two times',
      (task) => {
        task.next(INVOICES, 1, { delayMs: 1, runAt: new Date() });
      },
      'SLUICE_BAD_OPTION',
      'task.next: runAt must be left out',
    ],
  ])('are refused when they are noted, with the fix: %s', (_, note, code, message) => {
    const delivery = delivered();
    let thrown: unknown;
    try {
      note(taskOf(delivery));
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toMatchObject({ code, message: expect.stringContaining(message) });
    expect(delivery.noted).toBeUndefined();
  });

  it('are checked by the schema of their queue, at once if it can', async () => {
    const delivery = delivered();
    const positive = defineQueue(INVOICES, { schema: z.number().positive() });
    expect(() => {
      taskOf(delivery).next(positive, -1);
    }).toThrow("the schema of queue '{shop:orders}.invoices' refuses the payload");
    expect(delivery.noted).toBeUndefined();
    const later = defineQueue(INVOICES, { schema: z.number().refine(async (n) => Promise.resolve(n > 0)) });
    taskOf(delivery).next(later, 1);
    await delivery.noted?.checked();
    taskOf(delivery).next(later, -1);
    await expect(delivery.noted?.checked()).rejects.toMatchObject({ code: 'SLUICE_QUEUE_INVALID_PAYLOAD' });
  });
});

it('a task of an ordered queue notes nothing, and says so', () => {
  const task = taskOf(delivered({ hasKeys: true }));
  const refused = expect.objectContaining({
    code: 'SLUICE_BAD_OPTION',
    message: expect.stringContaining('has an orderingKey'),
  });
  expect(() => {
    task.next('orders', 1);
  }).toThrow(refused);
  expect(() => {
    task.onAck([['del', KEY]]);
  }).toThrow(refused);
});

describe('one task notes at most', () => {
  it('a hundred writes and a hundred tasks', () => {
    const delivery = delivered();
    const task = taskOf(delivery);
    task.onAck(new Array<AckWrite>(99).fill(['incrby', KEY, 1]));
    expect(() => {
      task.onAck(new Array<AckWrite>(2).fill(['incrby', KEY, 1]));
    }).toThrow('task.onAck: writes must be at most 100 for one task');
    task.onAck([['incrby', KEY, 1]]);
    for (let i = 0; i < 100; i++) task.next('orders', i);
    expect(() => {
      task.next('orders', 100);
    }).toThrow('task.next: calls must be at most 100 for one task');
    expect([delivery.noted?.words.length, delivery.noted?.sent.length]).toEqual([100, 100]);
  });

  it('four million characters', () => {
    const task = taskOf(delivered({ maxPayloadBytes: 10_000_000 }));
    task.next('orders', 'x'.repeat(4_000_000));
    expect(() => {
      task.onAck([['set', KEY, 'x'.repeat(200_000)]]);
    }).toThrow('task.onAck: writes must be at most 4194304 characters in all for one task');
    task.onAck([['set', KEY, 'x'.repeat(100_000)]]);
  });
});

describe('a run that has ended', () => {
  it('notes nothing any more, whether it had noted something or not', () => {
    for (const noted of [true, false]) {
      const delivery = delivered();
      if (noted) taskOf(delivery).next('orders', 1);
      delivery.endRun();
      const late = expect.objectContaining({ code: 'SLUICE_TASK_ENDED' });
      expect(() => {
        taskOf(delivery).next('orders', 2);
      }).toThrow(late);
      expect(() => {
        taskOf(delivery).onAck([['del', KEY]]);
      }).toThrow(late);
      expect(delivery.noted?.sent.length).toBe(noted ? 1 : undefined);
    }
  });
});
