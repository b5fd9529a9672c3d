import { describe, expect, it } from '@jest/globals';
import { OrderedBed, OrderedRuns, Ordered, Stopping, inTurn } from '../../../test/support/ordered-bed.js';
import { until } from '../../../test/support/until.js';
import { DeadLetterTask, DropTask, RetryTask, SnoozeTask } from '../index.js';

const bed = new OrderedBed();
const numbers = (count: number): number[] => [...new Array<number>(count).keys()];
const keysOf = (count: number): string[] => numbers(count).map((i) => `k${i}`);

describe('the tasks of a key', () => {
  it('run one at a time and in order, in three apps, and leave nothing behind', async () => {
    const runs = new OrderedRuns();
    runs.body = () => new Promise(setImmediate);
    const apps = [];
    for (let i = 0; i < 3; i++) apps.push(await bed.startOrdered(runs, { concurrency: 7 }));
    const keys = keysOf(20);
    await apps[0]!.queue.publishMany(Ordered, inTurn(keys, 15));
    await apps[1]!.queue.publishMany(Ordered, [...keys.flatMap((key) => [15, 16, 17].map((n) => ({ key, n })))]);
    await bed.untilSettled();
    expect(runs.broken).toEqual([]);
    expect(runs.started).toHaveLength(20 * 18);
    for (const key of keys) expect(runs.of(key)).toEqual(numbers(18));
    expect(await bed.left()).toEqual([]);
    expect(await bed.admin.hget('{tasks}:~uses', 'order')).toMatch(/^0\.\d+\.\d+ \d{13}$/);
  });

  it('wait without a place, a delivery or an attempt, and tasks of other keys go on', async () => {
    const runs = new OrderedRuns();
    runs.body = runs.hold;
    const { queue } = await bed.startOrdered(runs, { concurrency: 2 });
    await queue.publishMany(Ordered, [...numbers(30).map((n) => ({ key: 'a', n })), { key: 'b', n: 0 }]);
    await until(() => runs.running === 2, { what: 'one of each key runs' });
    expect(runs.started).toEqual([
      { key: 'a', n: 0 },
      { key: 'b', n: 0 },
    ]);
    expect(await bed.parked()).toEqual([29, 29]);
    expect(await queue.counts(Ordered)).toMatchObject({ running: 2, waiting: 29 });
    const { tasks } = await queue.list(Ordered, { limit: 100 });
    expect(tasks.map(({ payload }) => (payload as { n: number }).n)).toEqual(numbers(30).slice(1));
    expect(await queue.list(Ordered, { state: 'running' })).toMatchObject({ tasks: [{ attempt: 1 }, { attempt: 1 }] });
    runs.body = ({ deliveries, attempt }) => {
      if (deliveries > 1 || attempt > 1) runs.broken.push('a delivery or an attempt was used');
    };
    runs.endAll();
    await bed.untilSettled();
    expect(runs.broken).toEqual([]);
    expect(runs.of('a')).toEqual(numbers(30));
  });

  it('wait for a task that is tried again, put off or due later, and others do not', async () => {
    const runs = new OrderedRuns();
    runs.body = ({ payload: { key, n }, attempt }) => {
      if (n > 0) return;
      if (key === 'retry' && attempt < 3) throw new RetryTask({ delayMs: 60 });
      if (key === 'error' && attempt < 3) throw new Error('as asked');
      if (key === 'snooze' && runs.of(key).length < 3) throw new SnoozeTask({ delayMs: 60 });
    };
    const { queue } = await bed.startOrdered(runs, { backoff: 40 });
    const keys = ['retry', 'error', 'snooze', 'plain'];
    await queue.publishMany(Ordered, inTurn(keys, 4));
    await until(() => runs.of('plain').length === 4, { what: 'the others are done' });
    await bed.untilSettled();
    await until(() => runs.started.length === 3 * 6 + 4, { what: 'all are done' });
    expect(runs.broken).toEqual([]);
    for (const key of keys.slice(0, 3)) expect(runs.of(key)).toEqual([0, 0, 0, 1, 2, 3]);
    await until(async () => (await bed.left()).length === 0, { what: 'no gate is left' });
  });

  it('run in the order in which they come due', async () => {
    const runs = new OrderedRuns();
    const { queue } = await bed.startOrdered(runs);
    await queue.publish(Ordered, { key: 'a', n: 2 }, { delayMs: 150 });
    await queue.publish(Ordered, { key: 'a', n: 1 }, { delayMs: 50 });
    await queue.publish(Ordered, { key: 'a', n: 0 });
    await until(() => runs.started.length === 3, { what: 'all are done' });
    expect(runs.of('a')).toEqual([0, 1, 2]);
    expect(runs.broken).toEqual([]);
  });

  it('go on after a dead letter, a dropped and a cancelled task; a redriven one goes to the end', async () => {
    const runs = new OrderedRuns();
    runs.body = ({ payload: { n }, signal }) => {
      if (n === 0 && runs.started.length === 1) throw new DeadLetterTask('no');
      if (n === 1) throw new DropTask('no');
      if (n !== 2) return;
      return new Promise((_, reject) => {
        signal.addEventListener('abort', () => {
          reject(new Error('cancelled'));
        });
      });
    };
    const { queue } = await bed.startOrdered(runs);
    const ids = await queue.publishMany(Ordered, inTurn(['a'], 5));
    await until(() => runs.running === 1 && runs.started.length === 3, { what: 'the third one runs' });
    expect(await queue.dead(Ordered).redrive()).toBe(1);
    expect(await queue.cancel(Ordered, ids[2]!)).toBe('aborting');
    await bed.untilSettled();
    expect(runs.of('a')).toEqual([0, 1, 2, 3, 4, 0]);
    expect(await bed.left()).toEqual([]);
  });
});

describe('a key whose task is removed', () => {
  const gates = (): Promise<Record<string, string>> => bed.admin.hgetall('{tasks}:~gates:sluice');

  it.each(['remove', 'cancel', 'purge'] as const)('goes on at once: %s', async (how) => {
    const runs = new OrderedRuns();
    runs.body = ({ payload: { n } }) => {
      if (n === 0) throw new RetryTask({ delayMs: 3_600_000 });
    };
    const { queue } = await bed.startOrdered(runs);
    const [first] = await queue.publishMany(Ordered, inTurn(['a'], 2));
    await until(async () => (await queue.counts(Ordered)).delayed === 1, { what: 'the first one waits for its retry' });
    await until(async () => (await bed.parked())[0] === 1, { what: 'the second one waits for its key' });
    expect(await gates()).toEqual({ a: first });
    if (how === 'purge') await queue.purge(Ordered, 'delayed');
    else await queue[how](Ordered, first!);
    expect(Object.values(await gates())).not.toContain(first);
    await bed.untilSettled();
    expect(runs.of('a')).toEqual([0, 1]);
  });

  it.each(['remove', 'purge', 'dead().purge'] as const)('and that had stopped goes on at once: %s', async (how) => {
    const runs = new OrderedRuns();
    runs.body = ({ payload: { n } }) => {
      if (n === 0) throw new DeadLetterTask('no');
    };
    const { queue } = await bed.startOrdered(runs, {}, { definition: Stopping });
    const [first] = await queue.publishMany(Stopping, inTurn(['a'], 2));
    await until(async () => (await gates())['a'] === `!${first}`, { what: 'the key has stopped' });
    await until(async () => (await bed.parked())[0] === 1, { what: 'the second one waits for its key' });
    if (how === 'remove') await queue.remove(Stopping, first!);
    else if (how === 'purge') await queue.purge(Stopping, 'dead');
    else await queue.dead(Stopping).purge({ filter: () => true });
    expect(Object.values(await gates())).not.toContain(`!${first}`);
    await bed.untilSettled();
    expect(runs.of('a')).toEqual([0, 1]);
  });
});

describe("afterDeadLetter: 'stop'", () => {
  const failFirst = (runs: OrderedRuns): void => {
    runs.body = ({ payload: { key, n } }) => {
      if (key === 'a' && n === 0 && runs.of('a').length === 1) throw new DeadLetterTask('no');
    };
  };

  it('stops the key until its dead letter is redriven, and it runs before the others', async () => {
    const runs = new OrderedRuns();
    failFirst(runs);
    const { queue } = await bed.startOrdered(runs, {}, { definition: Stopping });
    await queue.publishMany(Stopping, inTurn(['a', 'b'], 3));
    await until(() => runs.of('b').length === 3, { what: 'the other key is done' });
    await until(async () => (await bed.parked())[0] === 2, { what: 'the others wait' });
    expect(await bed.admin.hgetall('{tasks}:~gates:sluice')).toEqual({ a: expect.stringMatching(/^!\d+-\d+$/) });
    await queue.publish(Stopping, { key: 'a', n: 3 });
    await until(async () => (await bed.parked())[0] === 3, { what: 'the new one waits as well' });
    expect(runs.of('a')).toEqual([0]);
    await queue.dead(Stopping).redrive();
    await bed.untilSettled();
    expect(runs.of('a')).toEqual([0, 0, 1, 2, 3]);
    expect(await bed.left()).toEqual([]);
  });

  it('goes on soon after its dead letter is deleted', async () => {
    const runs = new OrderedRuns();
    failFirst(runs);
    const { queue } = await bed.startOrdered(runs, {}, { definition: Stopping, queue: { leaseMs: 200 } });
    await queue.publishMany(Stopping, inTurn(['a'], 3));
    await until(async () => (await bed.parked())[0] === 2, { what: 'the others wait' });
    await queue.purge(Stopping, 'dead');
    await bed.untilSettled();
    expect(runs.of('a')).toEqual([0, 1, 2]);
  });
});
