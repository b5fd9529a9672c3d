import { describe, expect, it } from '@jest/globals';
import type { QueueApp, TestHandler } from '../../../test/support/queue-app.js';
import { QueueBed } from '../../../test/support/queue-bed.js';
import { until } from '../../../test/support/until.js';
import { defineQueue, payload, type FailedTask, type HandlerOptions, type Task } from '../index.js';

const bed = new QueueBed();
const FAILURES = '{tasks}.failures';

const failing = (options: HandlerOptions = {}): TestHandler => ({
  run: () => Promise.reject(new Error('no "quotes"\n, ü')),
  options: { maxAttempts: 2, deadLetterTo: FAILURES, ...options },
});

/** The payloads and the metas of what was published to a queue. */
const entries = async (stream = FAILURES): Promise<{ payload: FailedTask; meta: string }[]> =>
  (await bed.admin.xrange(stream, '-', '+')).map(([, fields]) => ({
    payload: JSON.parse(fields[1]!) as FailedTask,
    meta: fields[7]!,
  }));

describe('deadLetterTo', () => {
  it('publishes one task per dead letter, with what a handler needs', async () => {
    const told: FailedTask[] = [];
    const { queue } = await bed.start({
      handlers: { tasks: failing(), [FAILURES]: ({ payload }: Task<FailedTask>) => void told.push(payload) },
    });
    const order = { n: [1, { text: 'a "b" [[[ \\ {' }], none: null, ü: '\u2028' };
    const id = await queue.publish('tasks', order);
    await until(() => told.length === 1, { what: 'it is told' });
    expect(told).toEqual([
      {
        ...{ queue: 'tasks', id, payload: order, reason: 'max-attempts', group: 'sluice', attempts: 2 },
        error: expect.stringContaining('no "quotes"'),
      },
    ]);
    expect((await queue.dead('tasks').list()).tasks).toMatchObject([{ id, reason: 'max-attempts' }]);
    await bed.untilSettled();
    expect(await queue.dead('tasks').redrive()).toBe(1);
    await until(() => told.length === 2, { what: 'it failed again' });
    expect(told[1]).toMatchObject({ id });
  });

  it.each<[string, unknown]>([
    ['a text', 'nan'],
    ['a number', -1.5e3],
    ['true', true],
    ['null', null],
    ['an empty object', {}],
  ])('embeds %s as it was published', async (_, value) => {
    const { queue } = await bed.start({ handlers: { tasks: failing({ maxAttempts: 1 }) } });
    await queue.publish('tasks', value);
    await until(async () => (await entries()).length === 1, { what: 'it is told' });
    expect((await entries())[0]!.payload.payload).toEqual(value);
  });

  it('embeds as a text what is no JSON, or lies too deep, and what it publishes can always be read', async () => {
    const told: FailedTask[] = [];
    const { queue } = await bed.start({
      handlers: {
        tasks: failing({ maxAttempts: 1 }),
        [FAILURES]: ({ payload }: Task<FailedTask>) => void told.push(payload),
      },
    });
    const deep = (levels: number): string => '['.repeat(levels) + ']'.repeat(levels);
    for (const text of ['[nan]', '{"a":', '0x10', deep(200), deep(199)]) {
      await bed.admin.xadd('tasks', '*', 'payload', text);
    }
    await bed.admin.xadd('tasks', '*', 'other', 'x');
    await until(() => told.length === 6, { what: 'all are told' });
    const payloads = told.map(({ payload }) => payload);
    expect(payloads).toEqual(expect.arrayContaining(['{"a":', '0x10', deep(200), JSON.parse(deep(199)), '']));
    expect(told.map(({ reason }) => reason)).toEqual(
      expect.arrayContaining(['bad-payload', 'no-payload', 'max-attempts']),
    );
    expect(await queue.counts(FAILURES)).toMatchObject({ dead: 0 });
  });

  it('tells of a task that kills its process', async () => {
    await bed.admin.xgroup('CREATE', 'tasks', 'sluice', '0', 'MKSTREAM');
    const id = (await bed.admin.xadd('tasks', '*', 'payload', '{"n":1}'))!;
    const dead = 'sluice:host:1:0:dead';
    await bed.admin.xreadgroup('GROUP', 'sluice', dead, 'COUNT', 1, 'STREAMS', 'tasks', '>');
    await bed.admin.call('XCLAIM', 'tasks', 'sluice', dead, 0, id, 'RETRYCOUNT', 5, 'JUSTID');
    await bed.start({ handlers: { tasks: failing() }, queue: { leaseMs: 200 } });
    await until(async () => (await entries()).length === 1, { what: 'it is told' });
    expect((await entries())[0]!.payload).toMatchObject({
      ...{ queue: 'tasks', id, payload: { n: 1 }, reason: 'max-deliveries', attempts: 0, group: 'sluice' },
    });
  });

  describe('tells of one that killed its process before it was read', () => {
    /** What the task about it has as its payload. */
    async function toldOf(payload: string): Promise<unknown> {
      await bed.admin.xgroup('CREATE', 'tasks', 'sluice', '0', 'MKSTREAM');
      const id = (await bed.admin.xadd('tasks', '*', 'payload', payload))!;
      const dead = 'sluice:host:1:0:dead';
      await bed.admin.xreadgroup('GROUP', 'sluice', dead, 'COUNT', 1, 'STREAMS', 'tasks', '>');
      await bed.admin.call('XCLAIM', 'tasks', 'sluice', dead, 0, id, 'RETRYCOUNT', 5, 'JUSTID');
      await bed.start({ handlers: { tasks: failing() }, queue: { leaseMs: 200 } });
      await until(async () => (await entries()).length === 1, { what: 'it is told' });
      return (await entries())[0]!.payload.payload;
    }

    it.each(['{"n":', '[nan]', '-inf', '0x10', '[01]', '1.', '["a\nb"]', '["\u0001"]', '1\0'])(
      'as a text, if it is no JSON: %j',
      async (text) => {
        expect(await toldOf(text)).toBe(text);
      },
    );

    it.each([
      '{"n": [-0, 10, 1.5, 2e+3, 2.5E-3],\r\n\t"b": [true, false, null, {}]}',
      '["nan, [0x10]", "\\"01\\n\\\\", "\u007f\u2028"]',
      '7',
    ])('as it is, if it is JSON: %j', async (text) => {
      expect(await toldOf(text)).toEqual(JSON.parse(text));
    });
  });

  it('does not go round: a failure that fails is a dead letter, and no more', async () => {
    const back = failing({ deadLetterTo: 'tasks', maxAttempts: 1 });
    const { queue } = await bed.start({ handlers: { tasks: failing({ maxAttempts: 1 }), [FAILURES]: back } });
    await queue.publish('tasks', 1);
    await until(async () => (await queue.counts(FAILURES)).dead === 1, { what: 'the failure has failed' });
    await queue.dead(FAILURES).redrive();
    await until(async () => (await queue.counts(FAILURES)).dead === 1, { what: 'and again' });
    await bed.untilSettled();
    expect(await queue.counts('tasks')).toMatchObject({ waiting: 0, dead: 1 });
    expect((await queue.dead(FAILURES).list()).tasks[0]!.payload).toMatchObject({ queue: 'tasks' });
  });

  it('as a default for all handlers is not for the queue of failures itself', async () => {
    const { queue } = await bed.start({
      handlers: { tasks: failing({ maxAttempts: 1 }), [FAILURES]: { run: () => Promise.reject(new Error('no')) } },
      queue: { maxAttempts: 1, deadLetterTo: FAILURES },
    });
    await queue.publish(FAILURES, 'by hand');
    await until(async () => (await queue.counts(FAILURES)).dead === 1, { what: 'it is a dead letter' });
    expect(await queue.counts(FAILURES)).toMatchObject({ waiting: 0, running: 0 });
  });

  it('tells of a task whose own meta speaks of failures', async () => {
    await bed.start({ handlers: { tasks: failing({ maxAttempts: 1 }) } });
    await bed.admin.xadd('tasks', '*', 'payload', '1', 'meta', '{"about":"\\"failureOf\\"","failureOf":1}');
    await until(async () => (await entries()).length === 1, { what: 'it is told' });
  });

  it('tells of each group, and of a named task', async () => {
    const Files = defineQueue('files', { tasks: { import: payload<number>() } });
    const failures = '{files}.failures';
    const { queue } = await bed.start({
      handlers: {
        '{files}.import': failing({ group: 'a', deadLetterTo: failures, maxAttempts: 1 }),
      },
    });
    await bed.start({ handlers: { '{files}.import': failing({ group: 'b', deadLetterTo: failures }) } });
    await queue.publish(Files.tasks.import, 7);
    await until(async () => (await entries(failures)).length === 2, { what: 'both tell' });
    const told = (await entries(failures)).map(({ payload: { group, attempts, queue: of } }) => [group, attempts, of]);
    expect(told.sort()).toEqual([
      ['a', 1, '{files}.import'],
      ['b', 2, '{files}.import'],
    ]);
  });

  it.each([
    ['another slot', 'failures', 'SLUICE_CROSS_SLOT'],
    ['no name', '', 'SLUICE_BAD_NAME'],
    ['a whole queue of named tasks', { name: 'files', tasks: { import: { name: 'x' } } }, 'SLUICE_BAD_OPTION'],
  ])('refuses %s at boot', async (_, deadLetterTo, code) => {
    const start = bed.start({ handlers: { tasks: failing({ deadLetterTo: deadLetterTo as string }) } });
    await expect(start).rejects.toMatchObject({ code });
  });

  it('says which name is in the slot, with a namespace as well', async () => {
    const start = (deadLetterTo: string): Promise<QueueApp> =>
      bed.start({ namespace: 'shop', handlers: { orders: failing({ deadLetterTo }) } });
    const error = await start('failures').catch((thrown: unknown) => thrown as Error);
    const [, name = ''] = /'(\{.*\}\.failures)'/.exec((error as Error).message) ?? [];
    expect(name).toBe('{shop:orders}.failures');
    // A hash tag of its own is replaced.
    await expect(start('{orders}.failures')).rejects.toThrow("'{shop:orders}.failures'");
    await start(name);
  });

  // The table of docs/guide/queue-follow-up.md.
  it.each([
    ['orders', 'shop', '{shop:orders}.failures'],
    ['orders', undefined, '{orders}.failures'],
    ['{files}.import', 'shop', '{files}.failures'],
    ['{files}.import', undefined, '{files}.failures'],
    ['{billing}', 'shop', '{billing}.failures'],
    ['{billing}', undefined, '{billing}.failures'],
  ])("after '%s' with the namespace %s, it may be '%s'", async (name, namespace, deadLetterTo) => {
    const { queue } = await bed.start({
      ...(namespace !== undefined && { namespace }),
      handlers: { [name]: failing({ deadLetterTo, maxAttempts: 1 }) },
    });
    const stream = `${namespace === undefined ? '' : `${namespace}:`}${deadLetterTo}`;
    await queue.publish(name, 1);
    await until(async () => (await bed.admin.xlen(stream)) === 1, { what: 'it is told' });
  });

  it('makes neither of the two while the target is no stream, and both when it is', async () => {
    await bed.admin.set(FAILURES, 'x');
    const logged: string[] = [];
    const { queue } = await bed.start({
      handlers: { tasks: failing({ maxAttempts: 1 }) },
      logged: (_, message) => void logged.push(message),
    });
    await queue.publish('tasks', 1);
    await until(() => logged.some((message) => message.includes('is no stream')), { what: 'it is reported' });
    expect(await queue.counts('tasks')).toMatchObject({ running: 1, dead: 0 });
    await bed.admin.del(FAILURES);
    await until(async () => (await queue.counts('tasks')).dead === 1, { what: 'it is a dead letter' });
    expect(await entries()).toHaveLength(1);
  });
});
