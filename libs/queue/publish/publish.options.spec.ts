import { describe, expect, it } from '@jest/globals';
import { QueueBed } from '../../../test/support/queue-bed.js';
import { until } from '../../../test/support/until.js';
import type { PublishOptions, Task } from '../index.js';

const bed = new QueueBed();
const HOUR_MS = 3_600_000;

describe('the options of one task', () => {
  it('have its own backoff, through every retry', async () => {
    const { queue } = await bed.start({
      handlers: {
        tasks: () => {
          throw new Error('no');
        },
      },
    });
    const dueIn = async (id: string): Promise<number | undefined> => {
      const { dueAt } = (await queue.inspect('tasks', id)) ?? {};
      return dueAt && dueAt.getTime() - Date.now();
    };
    const fixed = await queue.publish('tasks', 1, { backoff: HOUR_MS });
    const listed = await queue.publish('tasks', 2, { backoff: [0, 2 * HOUR_MS] });
    const random = await queue.publish('tasks', 3, { backoff: { type: 'exponential', baseMs: HOUR_MS } });
    await until(async () => (await queue.counts('tasks')).delayed === 3, { what: 'each rests as long as it says' });
    expect((await dueIn(fixed))! / HOUR_MS).toBeCloseTo(1, 1);
    // The first rest was 0, so this is its second.
    expect((await dueIn(listed))! / HOUR_MS).toBeCloseTo(2, 1);
    expect(await queue.inspect('tasks', listed)).toMatchObject({ attempt: 3 });
    expect(await dueIn(random)).toBeLessThan(HOUR_MS);
  });

  it('of other software may hold anything as a backoff: then the one of the handler counts', async () => {
    const { queue } = await bed.start({
      handlers: {
        tasks: () => {
          throw new Error('no');
        },
      },
    });
    for (const backoff of [-1, 'soon', {}, [], [null], { type: 'fixed', delay: 1 }, true, null]) {
      const meta = JSON.stringify({ backoff });
      await bed.admin.xadd('tasks', '*', 'payload', '1', 'timestamp', 1, 'retry_count', 0, 'meta', meta);
    }
    await until(async () => (await queue.counts('tasks')).dead === 8, { what: 'all failed three times at once' });
  });

  it('hold nothing that cannot be sent', async () => {
    const { queue } = await bed.start({});
    const publish = (options: object): Promise<string> => queue.publish('tasks', 1, options);
    for (const backoff of [() => 1, -1, [], { type: 'fixed' }]) {
      await expect(publish({ backoff })).rejects.toMatchObject({ code: 'SLUICE_BAD_OPTION' });
    }
    expect(await queue.counts('tasks')).toMatchObject({ waiting: 0 });
  });
});

describe('publishMany with a function', () => {
  const options = (n: number, index: number): PublishOptions | undefined => {
    if (n === 0) return undefined;
    return n % 2 === 0 ? { delayMs: n * HOUR_MS } : { maxAttempts: n, runAt: new Date(Date.now() + index * HOUR_MS) };
  };

  it('gives each task its own options, and resolves to the ids in order', async () => {
    const { queue } = await bed.start({});
    const ids = await queue.publishMany('tasks', [0, 2, 5, 0, 2, 4], options);
    const found = await Promise.all(ids.map((id) => queue.inspect('tasks', id)));
    expect(found.map((task) => task?.payload)).toEqual([0, 2, 5, 0, 2, 4]);
    expect(found.map((task) => task?.state)).toEqual([
      'waiting',
      'delayed',
      'delayed',
      'waiting',
      'delayed',
      'delayed',
    ]);
    const hours = found.map((task) => task?.dueAt && Math.round((task.dueAt.getTime() - Date.now()) / HOUR_MS));
    expect(hours).toEqual([undefined, 2, 2, undefined, 2, 4]);
  });

  it('sends more than one chunk', async () => {
    const seen: number[] = [];
    const { queue } = await bed.start({ handlers: { tasks: ({ payload }: Task<number>) => void seen.push(payload) } });
    const payloads = [...new Array(900).keys()];
    const ids = await queue.publishMany('tasks', payloads, (n) => (n % 3 === 0 ? { delayMs: 1 + (n % 7) } : {}));
    expect(new Set(ids).size).toBe(900);
    await until(() => seen.length === 900, { what: 'all ran' });
    expect(seen.sort((a, b) => a - b)).toEqual(payloads);
  });

  it('checks the options of all before it sends any, and names the payload', async () => {
    const { queue } = await bed.start({});
    const many = queue.publishMany('tasks', [1, 2], (n) => (n === 2 ? { maxAttempts: 0 } : {}));
    await expect(many).rejects.toMatchObject({
      code: 'SLUICE_BAD_OPTION',
      message: expect.stringContaining('payloads[1].maxAttempts'),
    });
    const thrown = new Error('thrown by the function');
    await expect(
      queue.publishMany('tasks', [1], () => {
        throw thrown;
      }),
    ).rejects.toBe(thrown);
    expect(await queue.counts('tasks')).toMatchObject({ waiting: 0 });
  });

  it('tells of each task whether it was published, if some could not be', async () => {
    const { queue } = await bed.start({});
    await bed.admin.set('{tasks}:~delayed', 'x');
    const many = queue.publishMany('tasks', [0, 1, 0], (n) => (n === 1 ? { delayMs: 5 } : {}));
    const published = { state: 'published', id: expect.any(String) };
    await expect(many).rejects.toMatchObject({
      code: 'SLUICE_PUBLISH_UNCONFIRMED',
      outcomes: [published, { state: 'not-sent' }, published],
    });
  });
});
