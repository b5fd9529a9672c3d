import { describe, expect, it, jest } from '@jest/globals';
import { gate } from '../../../test/support/gate.js';
import { QueueBed } from '../../../test/support/queue-bed.js';
import { until } from '../../../test/support/until.js';
import { SluiceError } from '../../weave/index.js';
import type { Task } from '../index.js';

const bed = new QueueBed();

describe('at boot', () => {
  it('each handler has a line with its queue, group and limits', async () => {
    const lines: string[] = [];
    await bed.start({
      handlers: { tasks: { run: () => {}, options: { group: 'mail', concurrency: 4 } } },
      logged: (_level, message) => lines.push(message),
    });
    expect(lines).toContainEqual(
      "queue 'tasks' is handled by Handlers.tasks (group 'mail', concurrency 4, maxAttempts 3)",
    );
  });
});

describe('a stop', () => {
  it('says for which tasks it waits, for a handler may wait for the stop itself', async () => {
    const lines: string[] = [];
    const started = gate();
    let close = (): Promise<void> => Promise.resolve();
    const { app, queue } = await bed.start({
      handlers: {
        tasks: {
          run: async () => {
            started.open();
            await close();
          },
          options: {},
        },
      },
      queue: { drainMs: 1_500 },
      logged: (level, message) => lines.push(`${level}: ${message}`),
    });
    close = () => app.close();
    await queue.publish('tasks', 1);
    await started.opened;
    await app.close();
    expect(lines.filter((line) => line.includes('shutdown '))).toEqual([
      "warn: shutdown waits for running tasks: 1 of queue 'tasks', at most 1500 ms (queue.drainMs)",
      "warn: shutdown aborts running tasks: 1 of queue 'tasks' after 1500 ms (queue.drainMs)",
    ]);
  });

  it('says nothing of tasks that end soon', async () => {
    const lines: string[] = [];
    const { opened, open } = gate();
    const started = gate();
    const { app, queue } = await bed.start({
      handlers: { tasks: { run: () => (started.open(), opened), options: {} } },
      logged: (_level, message) => lines.push(message),
    });
    await queue.publish('tasks', 1);
    await started.opened;
    const closed = app.close();
    open();
    await closed;
    expect(lines.filter((line) => line.startsWith('shutdown '))).toEqual([]);
  });
});

describe('a task that a rate limit puts off', () => {
  it('has one line of the level debug, however often it is put off', async () => {
    const lines: string[] = [];
    let runs = 0;
    const limited = Object.assign(new SluiceError('SLUICE_RATE_LIMITED', 'no room'), { retryAfterMs: 1 });
    const { queue } = await bed.start({
      handlers: {
        tasks: () => {
          if (++runs < 4) throw limited;
        },
      },
      logged: (level, message) => lines.push(`${level}: ${message}`),
    });
    const id = await queue.publish('tasks', 1);
    await until(() => runs === 4, { what: 'it has run' });
    await bed.untilSettled();
    expect(lines.filter((line) => line.includes(id))).toEqual([
      `debug: Handlers.tasks put off task ${id} for 1 ms: SluiceError: no room (SLUICE_RATE_LIMITED)`,
    ]);
    expect(lines.filter((line) => line.startsWith('warn'))).toEqual([]);
  });
});

describe('a logger that throws', () => {
  it('keeps no task from being settled, and no place from being free', async () => {
    const console_ = jest.spyOn(console, 'error').mockImplementation(() => {});
    try {
      const runs: number[] = [];
      let full = false;
      const { queue } = await bed.start({
        handlers: {
          tasks: {
            run: (task: Task<number>) => {
              runs.push(task.payload);
              throw new Error('as asked');
            },
            options: { concurrency: 1, maxAttempts: 2 },
          },
        },
        logged: () => {
          if (full) throw new Error('the disk is full');
        },
      });
      full = true;
      await queue.publishMany('tasks', [1, 2, 3]);
      await until(async () => (await queue.counts('tasks')).dead === 3, { what: 'all are dead letters' });
      expect(await queue.counts('tasks')).toMatchObject({ waiting: 0, running: 0 });
      expect(runs).toHaveLength(6);
      full = false;
      expect(console_.mock.calls.flat().join(' ')).toContain('the disk is full');
    } finally {
      console_.mockRestore();
    }
  });
});
