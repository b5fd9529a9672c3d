import { describe, expect, it } from '@jest/globals';
import { commandDelta } from '../../../test/support/command-delta.js';
import { gate } from '../../../test/support/gate.js';
import type { QueueApp, TestHandler } from '../../../test/support/queue-app.js';
import { QueueBed } from '../../../test/support/queue-bed.js';
import { until } from '../../../test/support/until.js';
import type { Task } from '../index.js';

const bed = new QueueBed();
const worker = (run: TestHandler): Promise<QueueApp> =>
  bed.start({ handlers: { tasks: run }, queue: { leaseMs: 2_000 } });

describe('task.progress', () => {
  it('is shown by inspect while the task runs, and by a retry, and forgotten when it is done', async () => {
    const [first, second] = [gate(), gate()];
    const { queue } = await worker(async (task: Task<string>) => {
      task.progress({ run: task.attempt });
      if (task.attempt === 1) {
        await first.opened;
        throw new Error('not yet');
      }
      await second.opened;
    });
    const id = await queue.publish('tasks', 'x');
    const shows = (run: number): Promise<unknown> =>
      until(async () => ((await queue.inspect('tasks', id))?.progress as { run?: number } | undefined)?.run === run, {
        what: `the progress of run ${run} is shown`,
      });
    await shows(1);
    first.open();
    await shows(2);
    second.open();
    await bed.untilSettled();
    await until(async () => (await bed.admin.keys('*~progress:*')).length === 0, { what: 'it is forgotten' });
  });

  it('is told to the publisher that waits, the last one before the result', async () => {
    await worker((task: Task<string>) => {
      task.progress(1);
      task.progress(2);
      return 'done';
    });
    const { queue } = await bed.start({});
    const told: unknown[] = [];
    const onProgress = (value: unknown): void => void told.push(value);
    expect(await queue.publishAndWait('tasks', 'x', { timeoutMs: 600_000, onProgress })).toBe('done');
    expect(told).toEqual([2]);
    await until(async () => (await bed.admin.keys('*~progress:*')).length === 0, { what: 'it is forgotten' });
  });

  it('an error of onProgress changes nothing', async () => {
    await worker((task: Task<string>) => {
      task.progress(1);
      return 'done';
    });
    const logged: string[] = [];
    const { queue } = await bed.start({ logged: (level, message) => void logged.push(`${level}: ${message}`) });
    const onProgress = (): void => {
      throw new Error('as asked');
    };
    expect(await queue.publishAndWait('tasks', 'x', { timeoutMs: 600_000, onProgress })).toBe('done');
    // A rejection that nobody handles would end the process.
    const later = (() => Promise.reject(new Error('as asked, later'))) as never;
    expect(await queue.publishAndWait('tasks', 'x', { timeoutMs: 600_000, onProgress: later })).toBe('done');
    await until(() => logged.filter((line) => line.startsWith('warn')).length === 2, { what: 'both are logged' });
    expect(logged.filter((line) => line.startsWith('warn'))).toEqual([
      expect.stringMatching(/publishAndWait: onProgress of queue 'tasks' threw.*as asked/),
      expect.stringMatching(/publishAndWait: onProgress of queue 'tasks' threw.*as asked, later/),
    ]);
    await expect(queue.publishAndWait('tasks', 'x', { onProgress: 1 as never })).rejects.toMatchObject({
      code: 'SLUICE_BAD_OPTION',
    });
  });

  it('of many calls, few are sent', async () => {
    const { opened, open: finish } = gate();
    const { queue } = await worker({
      run: async (task: Task<number>) => {
        for (let i = 0; i <= 5_000; i++) task.progress({ n: task.payload, i });
        await opened;
      },
      options: { concurrency: 20 },
    });
    const { calls } = await commandDelta(bed.admin, async () => {
      const ids = await queue.publishMany('tasks', [...new Array(20).keys()]);
      await until(
        async () => {
          const infos = await Promise.all(ids.map((id) => queue.inspect('tasks', id)));
          return infos.every((info) => (info?.progress as { i?: number } | undefined)?.i === 5_000);
        },
        { what: 'the newest values are kept', everyMs: 500 },
      );
    });
    finish();
    // Each of the twenty may have begun in a turn of its own.
    expect(calls['set']).toBeLessThanOrEqual(20 * 20);
  });

  it.each<[string, unknown, RegExp]>([
    ['no JSON', { at: new Date(0) }, /cannot be sent.*progress\.at/],
    ['too large', 'x'.repeat(5_000), /cannot be sent.*4096/],
  ])('a value that is %s is dropped with a warning, and the task goes on', async (_, value, text) => {
    const logged: string[] = [];
    const { queue } = await bed.start({
      handlers: {
        tasks: (task: Task<string>) => {
          for (let i = 0; i < 5; i++) task.progress(value);
          return 'done';
        },
      },
      logged: (level, message) => void logged.push(`${level}: ${message}`),
    });
    expect(await queue.publishAndWait('tasks', 'x', { timeoutMs: 600_000 })).toBe('done');
    expect(logged.filter((line) => line.startsWith('warn'))).toEqual([expect.stringMatching(text)]);
  });

  it('after the run has ended, it does nothing', async () => {
    const { opened, open: finish } = gate();
    let late: Task<string> | undefined;
    const { queue } = await worker(async (task: Task<string>) => {
      if (task.payload === 'late') {
        late = task;
        return;
      }
      // What was reported before goes with it.
      late?.progress(1);
      task.progress(2);
      await opened;
    });
    const id = await queue.publish('tasks', 'late');
    await until(() => late, { what: 'it has run' });
    await bed.untilSettled();
    const next = await queue.publish('tasks', 'next');
    await until(async () => (await queue.inspect('tasks', next))?.progress === 2, {
      what: 'the next one has reported',
    });
    expect(await bed.admin.keys('*~progress:*')).toHaveLength(1);
    expect(late?.reported).toBe(1);
    expect(id).not.toBe(next);
    finish();
  });
});
