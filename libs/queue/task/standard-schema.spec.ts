import { describe, expect, it } from '@jest/globals';
import { type } from 'arktype';
import * as v from 'valibot';
import { z } from 'zod';
import { QueueBed } from '../../../test/support/queue-bed.js';
import { Injectable, Module } from '@nestjs/common';
import { defineQueue, TaskHandler, type QueueDefinition, type Task } from '../index.js';

const bed = new QueueBed();
let seen: unknown[] = [];

const Zod = defineQueue('tasks', {
  schema: z.object({ to: z.string().min(1), items: z.array(z.object({ count: z.number() })).default([]) }),
});
const Valibot = defineQueue('tasks', { schema: v.object({ at: v.pipe(v.string(), v.transform(Number)) }) });
const Ark = defineQueue('tasks', { schema: type({ n: 'number > 0' }) });
const Slow = defineQueue('tasks', {
  schema: z.object({ user: z.string() }).refine(async ({ user }) => Promise.resolve(user !== 'gone'), 'no such user'),
});

/** An app that handles this queue; what its handler gets is in `seen`. */
async function startFor(queue: QueueDefinition<unknown, unknown>): ReturnType<typeof bed.start> {
  seen = [];
  @Injectable()
  class Shop {
    @TaskHandler(queue)
    handle(task: Task): void {
      seen.push(task.payload);
    }
  }
  @Module({ providers: [Shop] })
  class Handlers {}
  return bed.start({ imports: [Handlers] });
}

describe('a schema at publish', () => {
  it('refuses what does not fit, with every issue and its path, and nothing is published', async () => {
    const { queue } = await bed.start({ queue: { consumers: false } });
    const bad = { to: '', items: [{ count: 1 }, { count: 'x' }] };
    await expect(queue.publish(Zod, bad as never)).rejects.toMatchObject({
      code: 'SLUICE_QUEUE_INVALID_PAYLOAD',
      queue: 'tasks',
      message: expect.stringMatching(
        /^the schema of queue 'tasks' refuses the payload: payload\.to: .*nothing was published$/,
      ),
      issues: [
        { path: 'payload.to', message: expect.any(String) },
        { path: 'payload.items[1].count', message: expect.any(String) },
      ],
    });
    await expect(queue.publishMany(Ark, [{ n: 1 }, { n: -1 }])).rejects.toMatchObject({
      issues: [{ path: 'payloads[1].n' }],
    });
    await expect(queue.publish(Valibot, { at: 7 } as never)).rejects.toMatchObject({
      issues: [{ path: 'payload.at' }],
    });
    await expect(queue.publish(Slow, { user: 'gone' })).rejects.toMatchObject({
      issues: [{ message: 'no such user' }],
    });
    expect(await bed.admin.exists('tasks')).toBe(0);
  });

  it('tells of the first of many issues, and of long ones the beginning', async () => {
    const { queue } = await bed.start({ queue: { consumers: false } });
    const items = Array.from({ length: 1_000 }, () => ({ count: 'x' }));
    const error: unknown = await queue.publish(Zod, { to: 'a', items } as never).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({
      code: 'SLUICE_QUEUE_INVALID_PAYLOAD',
      message: expect.stringContaining('and so on'),
    });
    expect((error as { issues: unknown[] }).issues).toHaveLength(100);
    const Wordy = defineQueue('tasks', { schema: z.record(z.string(), z.string('w'.repeat(5_000))) });
    const wordy: unknown = await queue
      .publish(Wordy, { ['k'.repeat(5_000)]: 7 } as never)
      .catch((thrown: unknown) => thrown);
    expect(wordy).toMatchObject({ code: 'SLUICE_QUEUE_INVALID_PAYLOAD' });
    expect(JSON.stringify(wordy).length + (wordy as Error).message.length).toBeLessThan(1_500);
    expect((error as Error).message.length).toBeLessThan(1_500);
  });

  it('sends what was given, not what the schema makes of it', async () => {
    const { queue } = await bed.start({ queue: { consumers: false } });
    await queue.publish(Valibot, { at: '7' });
    await queue.publishMany(Zod, [{ to: 'a' }]);
    const payloads = (await bed.admin.xrange('tasks', '-', '+')).map(([, fields]) => fields[1]);
    expect(payloads).toEqual(['{"at":"7"}', '{"to":"a"}']);
  });
});

describe('a schema at the handler', () => {
  it.each<[string, QueueDefinition<unknown, unknown>, unknown, unknown]>([
    ['zod', Zod, { to: 'a' }, { to: 'a', items: [] }],
    ['valibot', Valibot, { at: '7' }, { at: 7 }],
    ['arktype', Ark, { n: 1 }, { n: 1 }],
    ['an asynchronous one', Slow, { user: 'me' }, { user: 'me' }],
  ])('gives it the output: %s', async (_what, queueDefinition, input, output) => {
    const { queue } = await startFor(queueDefinition);
    await queue.publish('tasks', input);
    await bed.untilSettled();
    expect(seen).toEqual([output]);
  });

  it('makes what other producers sent a dead letter with its issues, at once, and lets its neighbours run', async () => {
    const { queue } = await startFor(Ark);
    await queue.publishMany('tasks', [{ n: 1 }, { n: 0 }, { n: 2 }]);
    await bed.untilSettled();
    expect(seen).toEqual([{ n: 1 }, { n: 2 }]);
    expect((await queue.dead(Ark).list()).tasks).toMatchObject([
      { payload: { n: 0 }, reason: 'bad-payload', error: expect.stringContaining('payload.n: '), deliveries: 1 },
    ]);
    expect((await bed.books.letters())[0]).toMatchObject({ attempts: '0' });
  });
});

it('refuses what is no schema', () => {
  const define = defineQueue as unknown as (name: string, options: object) => unknown;
  expect(() => define('tasks', { schema: { parse: () => 1 } })).toThrow(
    expect.objectContaining({
      code: 'SLUICE_BAD_OPTION',
      message: expect.stringContaining("defineQueue('tasks').schema"),
    }),
  );
  expect(() => define('tasks', { shema: Ark })).toThrow(expect.objectContaining({ code: 'SLUICE_BAD_OPTION' }));
});
