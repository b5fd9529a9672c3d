import { afterEach, expect, it } from '@jest/globals';
import { QueueBed } from '../../../test/support/queue-bed.js';
import type { QueueApp } from '../../../test/support/queue-app.js';
import { until } from '../../../test/support/until.js';
import type { HandlerOptions } from '../index.js';

const bed = new QueueBed();
/** No test lasts so long: a start that is lost is missing for all of it. */
const LONG_MS = 3_600_000;

type RateLimit = NonNullable<HandlerOptions['rateLimit']>;

/** What has started, in order. */
let started: { payload: { of: string }; attempt: number; deliveries: number }[] = [];
afterEach(() => {
  started = [];
});

const start = (rateLimit: RateLimit): Promise<QueueApp> =>
  bed.start({
    handlers: {
      tasks: {
        run: ({ payload, attempt, deliveries }) => {
          started.push({ payload, attempt, deliveries });
        },
        options: { rateLimit },
      },
    },
  });

/** Calls `onTaken` with each reply that brings tasks, before the worker gets it. */
function whenTaken({ connections }: QueueApp, onTaken: () => unknown): void {
  const link = connections.get().commands;
  const send = link.send.bind(link);
  Object.assign(link, {
    send: async (command: string, args: readonly unknown[], options?: never): Promise<unknown> => {
      const reply: unknown = await send(command, args as never, options);
      const { claimed } = (reply ?? {}) as { claimed?: unknown[] };
      if (claimed !== undefined && claimed.length > 0) await onTaken();
      return reply;
    },
  });
}

it.each<[string, RateLimit]>([
  ['all tasks', { limit: 3, perMs: LONG_MS }],
  ['each key', { limit: 3, perMs: LONG_MS, by: 'of' }],
])(
  'tasks that come too late for the rate of %s are returned with their starts, and use no attempt',
  async (_, rate) => {
    const app = await start(rate);
    const { clock } = app.connections;
    const monoMs = clock.monoMs.bind(clock);
    // As after a stop of the process: by its clock, the answer is late.
    let [jumpedMs, late] = [0, 2];
    whenTaken(app, () => {
      if (late-- > 0) jumpedMs += 5_000;
    });
    Object.assign(clock, { monoMs: () => monoMs() + jumpedMs });
    try {
      await app.queue.publishMany('tasks', [{ of: 'a' }, { of: 'a' }, { of: 'a' }, { of: 'a' }]);
      await until(() => started.length === 3, { what: 'three have started' });
      await until(async () => (await app.queue.counts('tasks')).running === 0, { what: 'they have ended' });
    } finally {
      Object.assign(clock, { monoMs });
    }
    expect(late).toBeLessThan(0);
    expect(started.every(({ attempt, deliveries }) => attempt === 1 && deliveries === 1)).toBe(true);
    expect(started).toHaveLength(3);
    expect(await app.queue.counts('tasks')).toMatchObject({ waiting: 1 });
  },
);

it('a pause that comes before tasks start returns them with their starts', async () => {
  const app = await start({ limit: 1, perMs: LONG_MS });
  let pauses = 1;
  whenTaken(app, async () => {
    if (pauses-- > 0) await app.queue.pause('tasks', { here: true });
  });
  await app.queue.publish('tasks', { of: 'a' });
  await until(async () => pauses < 1 && (await app.queue.counts('tasks')).running === 0, { what: 'it is returned' });
  expect(started).toEqual([]);
  await app.queue.resume('tasks', { here: true });
  await until(() => started.length === 1, { what: 'it has started' });
});
