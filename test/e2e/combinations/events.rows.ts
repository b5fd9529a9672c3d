import { expect } from '@jest/globals';
import type { QueueEvent, QueueOfTasks, QueueService } from 'nestjs-sluice/queue';
import { until } from '../../support/until.js';
import { noted, works, type Combination, type Row } from './combination.js';
import { A, AFTER, B, Files, LONG_MS, type CombinationKit, type Handled, type Run } from './combination.kit.js';
import { BATCH } from './batch.rows.js';
import { FAILING, THEN } from './ends.rows.js';
import { FOLLOW } from './follow-up.rows.js';
import { twoGroups } from './groups.rows.js';
import { DUE, REPLACE, SKIP, collectTwo } from './keys.rows.js';
import { FLEET, RATE, most } from './limits.rows.js';
import { Ordered } from './order.rows.js';
import { PER_KEY } from './per-key.rows.js';
import { SHARES } from './priority.rows.js';
import { runSchedule } from './times.rows.js';

/** What is told of a task that is done at once, and has reported. */
export const DONE = 'started, progress, completed';
const ENDS = ['completed', 'dead', 'dropped', 'cancelled'];

/** Reports the payload, of a batch that of each member, and goes on as `run`. */
export const reports =
  (run: Run = () => undefined): Run =>
  (given) => {
    const tasks = Array.isArray(given) ? (given as (typeof given)[]) : [given];
    for (const task of tasks) task.progress(task.payload);
    return run(given);
  };

type Told = QueueEvent & { readonly id?: string; readonly value?: unknown };

/** What is told of some queues, from now on. */
export class Heard {
  readonly events: Told[] = [];

  /** Listens, and resolves when the processes that work on these queues know of it. */
  async listen(
    kit: CombinationKit,
    queue: QueueService,
    of: string | QueueOfTasks = 'tasks',
    onSlots = false,
  ): Promise<this> {
    const streams = typeof of === 'string' ? [of] : [A.name, B.name];
    const isThere = async (stream: string): Promise<boolean> => (await queue.workers(stream)).length > 0;
    await until(async () => !(await Promise.all(streams.map(isThere))).includes(false), { what: 'workers read' });
    queue.events(of).subscribe((event) => this.events.push(event));
    // Whoever sets the key has told the workers, in the same step.
    const keys = streams.map((stream) => (stream.includes('{') ? `${stream}:~observed` : `{${stream}}:~observed`));
    const isKnown = async (key: string): Promise<boolean> => (await kit.value(key, { onSlots })) !== null;
    await until(async () => !(await Promise.all(keys.map(isKnown))).includes(false), { what: 'somebody listens' });
    return this;
  }

  /** What was told of one task. */
  of(id: string): string {
    return this.events.flatMap((event) => (event.id === id ? [event.type] : [])).join(', ');
  }

  /** The values that were reported. */
  get values(): unknown[] {
    return this.events.flatMap(({ type, value }) => (type === 'progress' ? [value] : []));
  }

  /** Waits until so many runs have ended for good. Resolves to what was told of each task. */
  async ended(count: number): Promise<string[]> {
    const isOver = (): boolean => this.events.filter(({ type }) => ENDS.includes(type)).length >= count;
    await until(isOver, { what: `${count} ends are told` });
    return [...new Set(this.events.flatMap(({ id }) => id ?? []))].map((id) => this.of(id));
  }

  /** Waits until this was told of a task. */
  async untilTold(id: string, told: string): Promise<void> {
    await until(() => this.of(id) === told, { what: `${told} is told, and not ${this.of(id)}` });
  }
}

/** A handler of `tasks` that reports and goes on as `run`, and who hears of it. */
async function reporting(
  kit: CombinationKit,
  { run, ...handled }: Handled = {},
  options = {},
): Promise<{ queue: QueueService; heard: Heard }> {
  const queue = await kit.on('tasks', { ...handled, run: reports(run) }).start(options);
  return { queue, heard: await new Heard().listen(kit, queue) };
}

/** Tasks with these payloads, which `publish` publishes, report them and are done, and all of that is told. */
const tells = (
  publish: (queue: QueueService) => Promise<unknown>,
  payloads: unknown[],
  handled: Handled = {},
  options = {},
): Combination =>
  works(async (kit) => {
    const { queue, heard } = await reporting(kit, handled, options);
    await publish(queue);
    expect(await heard.ended(payloads.length)).toEqual(payloads.map(() => DONE));
    expect(heard.values).toEqual(payloads);
  });

/** What was published and changed during a pause. */
const paused = (publish: (queue: QueueService) => Promise<unknown>) => async (queue: QueueService) => {
  await queue.pause('tasks');
  await publish(queue);
  await queue.resume('tasks');
};

const progressOf = async (queue: QueueService, id: string, of = 'tasks'): Promise<unknown> =>
  (await queue.inspect(of, id))?.progress;

export const eventsRow: Row = {
  feature: 'progress and events',
  with: {
    'named tasks': works(async (kit) => {
      const run = reports();
      const queue = await kit.on(A, { run }).on(B, { run }).start();
      const heard = await new Heard().listen(kit, queue, Files);
      await queue.publish(A, 1);
      await queue.publish(B, 2);
      expect(await heard.ended(2)).toEqual([DONE, DONE]);
      expect(new Set(heard.events.map((event) => 'name' in event && event.name))).toEqual(new Set(['a', 'b']));
    }),
    'publishUnique skip': works(async (kit) => {
      const { queue, heard } = await reporting(kit, { run: kit.hold });
      const { id } = await queue.publishUnique('tasks', 1, SKIP);
      expect((await queue.publishUnique('tasks', 2, SKIP)).outcome).toBe('skipped');
      await until(async () => (await queue.inspect('tasks', SKIP))?.progress === 1, { what: 'its progress is kept' });
      kit.open();
      await heard.untilTold(id, DONE);
    }),
    'publishUnique replace': tells(
      paused(async (queue) => {
        for (const n of [1, 2]) await queue.publishUnique('tasks', n, REPLACE);
      }),
      [2],
    ),
    'publishUnique debounce': tells((queue) => queue.publishUnique('tasks', 1, DUE), [1]),
    collect: tells(collectTwo, [[1, 2]]),
    delays: works(async (kit) => {
      const { queue, heard } = await reporting(kit);
      const id = await queue.publish('tasks', 1, { delayMs: 5 });
      await heard.untilTold(id, DONE);
    }),
    schedules: works(async (kit) => {
      const { queue, heard } = await reporting(kit);
      await heard.untilTold(await runSchedule(queue, 'due'), DONE);
    }),
    'concurrency.fleet': works(async (kit) => {
      const { queue, heard } = await reporting(kit, { ...FLEET, run: kit.hold });
      const [one = '', two = ''] = await queue.publishMany('tasks', [1, 2]);
      await heard.untilTold(one, 'started, progress');
      await kit.untilCounts(queue, { running: 1, waiting: 1 });
      expect(heard.of(two)).toBe('');
      kit.open();
      expect(await heard.ended(2)).toEqual([DONE, DONE]);
    }),
    rateLimit: works(async (kit) => {
      const { queue, heard } = await reporting(kit, RATE);
      await queue.publishMany('tasks', [1, 1]);
      await kit.untilCounts(queue, { running: 0, waiting: 1 });
      expect(await heard.ended(1)).toEqual([DONE]);
    }),
    maxLength: tells((queue) => queue.publish('tasks', 1), [1], {}, most(1)),
    deadLetterTo: works(async (kit) => {
      kit.on(AFTER);
      const { queue, heard } = await reporting(kit, FAILING);
      const after = await new Heard().listen(kit, queue, AFTER);
      const id = await queue.publish('tasks', 1);
      await heard.untilTold(id, 'started, progress, dead');
      expect(await after.ended(1)).toEqual(['started, completed']);
      expect(await progressOf(queue, id)).toBe(1);
    }),
    whenAllSettled: works(async (kit) => {
      kit.on(AFTER);
      const { queue, heard } = await reporting(kit);
      const after = await new Heard().listen(kit, queue, AFTER);
      await queue.publishMany('tasks', [1, 2], THEN);
      expect(await heard.ended(2)).toEqual([DONE, DONE]);
      expect(await after.ended(1)).toEqual(['started, completed']);
    }),
    publishAndWait: works(async (kit) => {
      const { queue, heard } = await reporting(kit, { run: kit.hold });
      const values: unknown[] = [];
      const onProgress = (value: unknown): void => void values.push(value);
      const result = queue.publishAndWait('tasks', 1, { timeoutMs: LONG_MS, onProgress });
      await until(() => values.length > 0, { what: 'the publisher has its progress' });
      kit.open();
      expect([await result, values]).toEqual([1, [1]]);
      expect(await heard.ended(1)).toEqual([DONE]);
    }),
    batch: tells((queue) => queue.publishMany('tasks', [1, 2]), [1, 2], BATCH),
    cancel: noted(async (kit) => {
      const { queue, heard } = await reporting(kit, { run: kit.hold });
      const id = await queue.publish('tasks', 1);
      await heard.untilTold(id, 'started, progress');
      const late = await queue.publish('tasks', 2, { delayMs: LONG_MS });
      expect([await queue.cancel('tasks', late), await queue.cancel('tasks', id)]).toEqual(['removed', 'aborting']);
      await heard.untilTold(id, 'started, progress, cancelled');
      expect(heard.of(late)).toBe('');
    }),
    'several groups': noted(async (kit) => {
      const report =
        (text: string): Run =>
        (task) => {
          task.progress(text);
          return kit.hold(task);
        };
      const queue = await twoGroups(kit, { run: report('one') }, { run: report('two') }).start();
      const heard = await new Heard().listen(kit, queue);
      const id = await queue.publish('tasks', 1);
      for (const group of ['one', 'two']) {
        const isKept = async (): Promise<boolean> => (await queue.inspect('tasks', id, { group }))?.progress === group;
        await until(isKept, { what: `the progress of ${group} is kept` });
      }
      kit.open();
      await heard.ended(2);
      const of = (group: string): string[] =>
        heard.events.flatMap((event) => ('group' in event && event.group === group ? [event.type] : []));
      expect([of('one').join(', '), of('two').join(', ')]).toEqual([DONE, DONE]);
    }),
    pause: works(async (kit) => {
      const { queue, heard } = await reporting(kit, { run: kit.hold });
      const id = await queue.publish('tasks', 1);
      await heard.untilTold(id, 'started, progress');
      await queue.pause('tasks');
      const next = await queue.publish('tasks', 2);
      kit.tasks[0]!.progress('during a pause');
      await until(async () => (await progressOf(queue, id)) === 'during a pause', { what: 'its progress is kept' });
      kit.open();
      await heard.untilTold(id, 'started, progress, progress, completed');
      expect(heard.of(next)).toBe('');
      await queue.resume('tasks');
      await heard.untilTold(next, DONE);
    }),
    redrive: noted(async (kit) => {
      const { queue, heard } = await reporting(kit, { maxAttempts: 1, run: kit.failing });
      const id = await queue.publish('tasks', 1);
      await heard.untilTold(id, 'started, progress, dead');
      await queue.pause('tasks');
      await queue.dead('tasks').redrive();
      expect(await queue.inspect('tasks', id)).toMatchObject({ state: 'waiting', progress: 1 });
      kit.fix();
      await queue.resume('tasks');
      await heard.untilTold(id, `started, progress, dead, ${DONE}`);
    }),
    SluiceTestingModule: noted(async (kit) => {
      let isTooLarge = false;
      const run = reports((task) => {
        task.progress(isTooLarge ? 'x'.repeat(5_000) : 'again');
      });
      const { queue } = await kit.on('tasks', { maxAttempts: 1, run }).testing();
      const told: string[] = [];
      queue.events('tasks').subscribe(({ type }) => void told.push(type));
      await queue.publish('tasks', 1);
      expect(await queue.drain()).toEqual({ completed: 1, dead: 0 });
      expect(told).toEqual(['started', 'progress', 'progress', 'completed']);
      isTooLarge = true;
      await queue.publish('tasks', 2);
      expect(await queue.drain()).toEqual({ completed: 0, dead: 1 });
    }),
    Cluster: works(async (kit) => {
      const queue = await kit.on('tasks', { run: reports() }).start({}, { onSlots: true });
      const heard = await new Heard().listen(kit, queue, 'tasks', true);
      await queue.publish('tasks', 1);
      expect(await heard.ended(1)).toEqual([DONE]);
    }),
    'publishUnique follow-up': works(async (kit) => {
      const { queue, heard } = await reporting(kit, { run: kit.hold });
      const one = await queue.publishUnique('tasks', 1, FOLLOW);
      await heard.untilTold(one.id, 'started, progress');
      const two = await queue.publishUnique('tasks', 2, FOLLOW);
      expect([two.outcome, heard.of(two.id)]).toEqual(['follows', '']);
      kit.open();
      await heard.untilTold(one.id, DONE);
      await heard.untilTold(two.id, DONE);
    }),
    priority: works(async (kit) => {
      const { queue, heard } = await reporting(kit, { run: kit.hold }, SHARES);
      for (const priority of ['high', 'low'] as const) {
        const id = await queue.publish('tasks', priority, { priority });
        await until(async () => (await progressOf(queue, id)) === priority, { what: 'its progress is kept' });
      }
      kit.open();
      expect(await heard.ended(2)).toEqual([DONE, DONE]);
    }),
    orderingKey: works(async (kit) => {
      const queue = await kit.on(Ordered, { run: reports(kit.hold) }).start();
      const heard = await new Heard().listen(kit, queue);
      const [one = '', two = ''] = await queue.publishMany(Ordered, ['a1', 'a2']);
      await heard.untilTold(one, 'started, progress');
      await kit.untilCounts(queue, { running: 1, waiting: 1 });
      expect(heard.of(two)).toBe('');
      kit.open();
      await heard.untilTold(one, DONE);
      await heard.untilTold(two, DONE);
    }),
    'concurrency.perKey': tells(
      (queue) => queue.publishMany('tasks', [{ c: 'a' }, { c: 'a' }]),
      [{ c: 'a' }, { c: 'a' }],
      PER_KEY,
    ),
  },
};
