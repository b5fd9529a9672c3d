import { describe, expect, it } from '@jest/globals';
import { gate } from '../../../test/support/gate.js';
import type { QueueApp } from '../../../test/support/queue-app.js';
import { QueueBed } from '../../../test/support/queue-bed.js';
import { until } from '../../../test/support/until.js';
import type { Task } from '../index.js';

const bed = new QueueBed();
const LONG = { timeoutMs: 600_000 };
const untilNothingIsKept = (): Promise<unknown> =>
  until(async () => (await bed.admin.keys('*~result:*')).length === 0, { what: 'no result is kept' });

describe('with several groups', () => {
  const group = (name: string, run: (task: Task<never>) => unknown): Promise<QueueApp> =>
    bed.start({ handlers: { tasks: { run, options: { group: name } } }, queue: { leaseMs: 300 } });

  it("the result is that of the app's own group, also after retries", async () => {
    const { queue } = await group('a', ({ attempt }) => {
      if (attempt < 3) throw new Error('not yet');
      return `a ${attempt}`;
    });
    const failed = gate();
    await group('b', ({ attempt }) => {
      if (attempt === 2) failed.open();
      if (attempt < 3) throw new Error('not yet');
      return 'b';
    });
    expect(await queue.publishAndWait('tasks', 1, LONG)).toBe('a 3');
    await failed.opened;
    await untilNothingIsKept();
  });

  it('a dead letter of another group ends no wait', async () => {
    const { opened, open } = gate();
    const { queue } = await group('a', async () => {
      await opened;
      return 'a';
    });
    await group('b', () => {
      throw new Error('no');
    });
    const result = queue.publishAndWait('tasks', 1, { ...LONG, maxAttempts: 1 });
    await until(async () => (await bed.books.letters()).length === 1, { what: 'b has given up' });
    open();
    expect(await result).toBe('a');
  });

  it('a process without a handler names the group', async () => {
    await group('a', () => 'a');
    await group('b', () => 'b');
    const { queue } = await bed.start({});
    expect(await queue.publishAndWait('tasks', 1, { ...LONG, group: 'b' })).toBe('b');
  });

  it('one group answers whatever its name is', async () => {
    await group('other', () => 'other');
    const { queue } = await bed.start({});
    expect(await queue.publishAndWait('tasks', 1, LONG)).toBe('other');
  });
});
