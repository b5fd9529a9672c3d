import { describe, expect, it } from '@jest/globals';
import { gate } from '../../../test/support/gate.js';
import { COUNT, MAILS, NotesBed, note, type Run } from '../../../test/support/notes-bed.js';
import { until } from '../../../test/support/until.js';
import { DeadLetterTask, DropTask, SnoozeTask, defineQueue, type Task } from '../index.js';

const bed = new NotesBed();
const { handle: start, count, mails } = bed;

describe('what a handler has noted', () => {
  it('happens with the acknowledgement: the writes, and the tasks that follow', async () => {
    const { queue } = await start((task) => {
      note(task);
      note(task);
    });
    await queue.publishMany('tasks', [1, 20]);
    await bed.untilSettled();
    expect(await count()).toBe(42);
    expect((await mails()).map(({ payload }) => payload).sort()).toEqual(['1', '1', '20', '20']);
  });

  it('does not happen before: nothing is written while the handler runs', async () => {
    const door = gate();
    const { queue } = await start(async (task) => {
      note(task);
      await door.opened;
    });
    const id = await queue.publish('tasks', 1);
    await until(async () => (await queue.inspect('tasks', id))?.state === 'running', { what: 'it runs' });
    expect([await count(), await mails()]).toEqual([0, []]);
    door.open();
    await bed.untilSettled();
    expect([await count(), (await mails()).length]).toEqual([1, 1]);
  });

  it.each<[what: string, fails: (task: Task<number>) => unknown, dead: number]>([
    [
      'throws, and succeeds later',
      ({ attempt }) => {
        if (attempt === 1) throw new Error('not yet');
      },
      0,
    ],
    [
      'is put off once',
      ({ payload }) => {
        if (payload === 1 && !putOff.has(payload)) {
          putOff.add(payload);
          throw new SnoozeTask({ delayMs: 1 });
        }
      },
      0,
    ],
  ])('is dropped when the run fails, and noted by the next one: it %s', async (_, fails, dead) => {
    putOff.clear();
    const { queue } = await start((task) => {
      note(task);
      return fails(task);
    });
    await queue.publish('tasks', 1);
    await bed.untilSettled();
    await until(async () => (await count()) === 1, { what: 'the last run has counted' });
    expect((await mails()).length).toBe(1);
    expect((await bed.books.letters()).length).toBe(dead);
  });
  const putOff = new Set<number>();

  it.each<[what: string, thrown: () => Error, letters: number]>([
    ['fails for the last time', () => new Error('no'), 1],
    ['becomes a dead letter', () => new DeadLetterTask('sold out'), 1],
    ['is dropped', () => new DropTask(), 0],
  ])('is dropped with the task: it %s', async (_, thrown, letters) => {
    const { queue } = await start(
      (task) => {
        note(task);
        throw thrown();
      },
      { maxAttempts: 1 },
    );
    await queue.publish('tasks', 1);
    await until(async () => (await bed.admin.xlen('tasks')) === 0, { what: 'it has ended' });
    await bed.untilSettled();
    expect((await bed.books.letters()).length).toBe(letters);
    expect([await count(), await mails()]).toEqual([0, []]);
  });

  it('is dropped when its time is over, and a handler that goes on notes nothing any more', async () => {
    const late: unknown[] = [];
    const door = gate();
    const { queue } = await start(
      async (task) => {
        note(task);
        await door.opened;
        try {
          note(task);
        } catch (error) {
          late.push(error);
        }
      },
      { timeoutMs: 5, maxAttempts: 1 },
    );
    await queue.publish('tasks', 1);
    await until(async () => (await bed.books.letters()).length === 1, { what: 'it is given up' });
    door.open();
    await until(() => late.length === 1, { what: 'it goes on' });
    expect(late).toMatchObject([{ code: 'SLUICE_TASK_ENDED' }]);
    expect([await count(), await mails()]).toEqual([0, []]);
  });

  it.each([true, false])('of a cancelled task counts if its handler returns: %s', async (returns) => {
    const begun = gate();
    const { queue } = await start(async (task) => {
      note(task);
      await new Promise((resolve) => {
        task.signal.addEventListener('abort', resolve);
        begun.open();
      });
      if (!returns) throw new Error('cancelled');
    });
    const id = await queue.publish('tasks', 1);
    await begun.opened;
    expect(await queue.cancel('tasks', id)).toBe('aborting');
    await bed.untilSettled();
    expect([await count(), (await mails()).length]).toEqual(returns ? [1, 1] : [0, 0]);
  });

  it('stays undone when the app stops first: the task runs again elsewhere', async () => {
    const first = await start(
      async (task) => {
        note(task);
        await new Promise(() => {});
      },
      {},
      { queue: { drainMs: 1, leaseMs: 500 } },
    );
    const id = await first.queue.publish('tasks', 1);
    await until(async () => (await first.queue.inspect('tasks', id))?.state === 'running', { what: 'it runs' });
    await first.app.close();
    expect([await count(), await mails()]).toEqual([0, []]);
    await start(note);
    await bed.untilSettled();
    expect([await count(), (await mails()).length]).toEqual([1, 1]);
  });
});

describe('what Redis refuses', () => {
  it('is a failed attempt with a clear error, of which nothing is written', async () => {
    await bed.admin.set('{tasks}:list', 'no list');
    const told: string[] = [];
    const { queue } = await start(
      (task) => {
        note(task);
        task.onAck([
          ['set', '{tasks}:before', 1],
          ['rpush', '{tasks}:list', task.id],
          ['set', '{tasks}:after', 1],
        ]);
      },
      { maxAttempts: 2 },
      { logged: (level, message) => void told.push(`${level} ${message}`) },
    );
    const id = await queue.publish('tasks', 1);
    await until(async () => (await bed.books.letters()).length === 1, { what: 'it is given up' });
    expect([await count(), await mails()]).toEqual([0, []]);
    expect(await bed.admin.exists('{tasks}:before', '{tasks}:after')).toBe(0);
    const message =
      `task ${id} of queue 'tasks' was not acknowledged, because of what its handler noted: RPUSH of '{tasks}:list' needs a list, and ` +
      `the key is a string. Use another key, or delete it first: ['del', key]; nothing was written or published`;
    expect(await bed.books.letters()).toMatchObject([
      {
        original_id: id,
        attempts: '2',
        reason: 'max-attempts',
        error: `TaskAckRefusedError: ${message} (SLUICE_TASK_ACK_REFUSED)`,
      },
    ]);
    expect(told.filter((line) => line.includes(message)).map((line) => line.split(' ')[0])).toEqual(['warn', 'error']);
  });

  it.each<[what: string, value: string, run: Run, message: string]>([
    [
      'a count on a text',
      'x',
      (task) => {
        task.onAck([['incrby', COUNT, 1]]);
      },
      `INCRBY of '${COUNT}': the value is no whole number of 64 bits`,
    ],
    [
      'a count that is too large',
      '9223372036854775807',
      (task) => {
        task.onAck([['incrby', COUNT, 1]]);
      },
      'would not fit in 64 bits',
    ],
    [
      'a queue that is deleted',
      '0',
      (task) => {
        task.onAck([['del', '{tasks}.stream']]);
      },
      'the key is a stream, and streams are tasks',
    ],
    [
      'a queue that is none',
      '0',
      (task) => {
        task.next('{tasks}:count', 1);
      },
      "a key of queue '{tasks}:count' is a string",
    ],
  ])('says what helps: %s', async (_, value, run, message) => {
    await bed.admin.set(COUNT, value);
    await bed.admin.xadd('{tasks}.stream', '*', 'a', 'b');
    const { queue } = await start(run, { maxAttempts: 1 });
    await queue.publish('tasks', 1);
    await until(async () => (await bed.books.letters()).length === 1, { what: 'it is given up' });
    expect((await bed.books.letters())[0]!['error']).toContain(message);
    expect(await bed.admin.get(COUNT)).toBe(value);
  });

  it('by a schema that takes its time is a failed attempt', async () => {
    const schema = {
      '~standard': {
        version: 1 as const,
        vendor: 'spec',
        validate: async (value: unknown) =>
          Promise.resolve(value === 1 ? { issues: [{ message: 'too early' }] } : { value: value as number }),
      },
    };
    const Checked = defineQueue(MAILS, { schema });
    const { queue } = await start((task) => {
      task.next(Checked, task.attempt);
      task.onAck([['incrby', COUNT, 1]]);
    });
    await queue.publish('tasks', 1);
    await until(async () => (await count()) === 1, { what: 'the second attempt is done' });
    expect((await mails()).map(({ payload }) => payload)).toEqual(['2']);
  });
});
