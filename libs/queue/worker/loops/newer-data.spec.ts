import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { describe, expect, it } from '@jest/globals';
import { QueueBed } from '../../../../test/support/queue-bed.js';
import { until } from '../../../../test/support/until.js';
import { QUEUE_CHANNELS, type QueueService, type Task } from '../../index.js';

const bed = new QueueBed();
const USES = '{tasks}:~uses';
const LEFT = `'tasks' (group 'sluice') is left alone`;

/** An app that works on `tasks`. */
async function started(gate: Promise<void> = Promise.resolve()) {
  const ran: unknown[] = [];
  const logged: string[] = [];
  const run = async ({ payload }: Task<string>): Promise<void> => {
    ran.push(payload);
    if (payload === 'long') await gate;
    if (payload === 'bad') throw new Error('bad');
  };
  const { queue } = await bed.start({
    handlers: { tasks: { run, options: { concurrency: 2, maxAttempts: 1 } } },
    queue: { leaseMs: 600 },
    logged: (level, message) => void logged.push(`${level}: ${message}`),
  });
  const left = (): number => logged.filter((line) => line.includes(LEFT)).length;
  return { queue, ran, logged, left };
}

const plant = (): Promise<unknown> => bed.admin.hset(USES, 'lanes', '0.4.0');
const untilLeft = (queue: QueueService): Promise<unknown> =>
  until(() => queue.stats().leftAlone === 1, { what: 'the queue is left alone' });

describe('a queue with data of a newer release', () => {
  it('is left alone by a process that boots, with one line in the log, and is worked on when that data is gone', async () => {
    await plant();
    const messages: unknown[] = [];
    const onMessage = (message: unknown): void => void messages.push(message);
    const names = [QUEUE_CHANNELS.newerData, QUEUE_CHANNELS.newerDataOver];
    for (const name of names) subscribe(name, onMessage);
    const { queue, ran, logged, left } = await started();
    await untilLeft(queue);
    await queue.publish('tasks', 'plain');
    await bed.admin.zadd('{tasks}:~delayed', 1, 'due');
    const before = await looks();
    await until(async () => (await looks()) >= before + 2, { what: 'it has looked again' });
    expect(ran).toEqual([]);
    // Not even its group was created, and nothing was moved.
    expect(await bed.admin.xinfo('GROUPS', 'tasks')).toEqual([]);
    expect(await bed.admin.zcard('{tasks}:~delayed')).toBe(1);
    expect(await queue.counts('tasks')).toMatchObject({ waiting: 1, delayed: 1 });
    expect(left()).toBe(1);
    expect(logged.filter((line) => line.startsWith('error'))).toEqual([]);

    await bed.admin.del(USES);
    await until(() => ran.includes('plain'), { what: 'the task ran' });
    expect(queue.stats()).toMatchObject({ leftAlone: 0, leftAloneReports: 1 });
    expect(messages).toMatchObject([
      { queue: 'tasks', group: 'sluice', uses: [{ feature: 'lanes', since: '0.4.0' }] },
      { queue: 'tasks', group: 'sluice' },
    ]);
    for (const name of names) unsubscribe(name, onMessage);
  });

  it('is left by a process at its next renewal: it finishes what runs, returns the rest, and takes nothing', async () => {
    let open = (): void => {};
    const gate = new Promise<void>((resolve) => (open = resolve));
    const { queue, ran, left } = await started(gate);
    await queue.publishMany('tasks', ['long', 'long']);
    await until(() => ran.length === 2, { what: 'both run' });
    await queue.publish('tasks', 'waits');
    await plant();
    await untilLeft(queue);
    open();
    await until(async () => (await queue.counts('tasks')).running === 0, { what: 'what ran is settled' });
    expect(await queue.counts('tasks')).toMatchObject({ waiting: 1, running: 0 });
    await queue.publish('tasks', 'waits too');
    const before = await looks();
    await until(async () => (await looks()) > before + 3, { what: 'it looks with every renewal' });
    expect(ran).toEqual(['long', 'long']);
    expect(left()).toBe(1);
    await bed.admin.del(USES);
    await until(() => ran.length === 4, { what: 'the rest ran' });
    await until(() => queue.stats().leftAlone === 0, { what: 'the log says that it is worked on again' });
    expect(ran.slice(2).sort()).toEqual(['waits', 'waits too']);
  });

  it('lets a run that fails be settled by the process that had it', async () => {
    let open = (): void => {};
    const gate = new Promise<void>((resolve) => (open = resolve));
    const { queue, ran } = await started(gate.then(() => Promise.reject(new Error('too late'))));
    await queue.publish('tasks', 'long');
    await until(() => ran.length === 1, { what: 'it runs' });
    await plant();
    await untilLeft(queue);
    open();
    await until(async () => (await queue.counts('tasks')).dead === 1, { what: 'it is a dead letter' });
    expect(await queue.counts('tasks')).toMatchObject({ waiting: 0, running: 0 });
  });

  it('keeps its data from operators: each call that would change something says so', async () => {
    const { queue, ran } = await started();
    await queue.publish('tasks', 'bad');
    const id = await queue.publish('tasks', 'later', { delayMs: 3_600_000 });
    await until(async () => (await queue.counts('tasks')).dead === 1, { what: 'one is a dead letter' });
    await plant();
    await untilLeft(queue);
    const waiting = await queue.publish('tasks', 'waits');
    const [letter] = (await queue.dead('tasks').list()).tasks;
    const newer = expect.objectContaining({ code: 'SLUICE_NEWER_DATA', key: 'tasks' });
    const calls: (() => Promise<unknown>)[] = [
      () => queue.dead('tasks').redrive(),
      () => queue.dead('tasks').purge(),
      () => queue.dead('tasks').purge({ filter: () => true }),
      () => queue.remove('tasks', id),
      () => queue.remove('tasks', waiting),
      () => queue.remove('tasks', letter?.id ?? ''),
      () => queue.groups('tasks').drop('other'),
    ];
    for (const call of calls) await expect(call()).rejects.toEqual(newer);
    expect(await queue.counts('tasks')).toMatchObject({ waiting: 1, delayed: 1, dead: 1 });
    expect(await queue.inspect('tasks', id)).toMatchObject({ state: 'delayed' });
    expect(ran).toEqual(['bad']);
  });

  it('has its delayed tasks left where they are by a publisher that watches them, with one line in the log', async () => {
    const logged: string[] = [];
    const { queue } = await bed.start({
      queue: { consumers: false },
      logged: (_, message) => void logged.push(message),
    });
    await plant();
    await queue.publish('tasks', 'soon', { delayMs: 50 });
    const told = (): number => logged.filter((line) => line.includes('are not promoted here')).length;
    await until(() => told() === 1, { what: 'the log says so' });
    const before = await looks();
    await queue.publish('tasks', 'again', { delayMs: 1 });
    await until(async () => (await looks()) > before, { what: 'the watch has looked again' });
    expect(await queue.counts('tasks')).toMatchObject({ waiting: 0, delayed: 2 });
    expect(told()).toBe(1);
  });
});

/** How often Redis was asked for the features of the queue. */
const looks = (): Promise<number> => calls('hgetall');

async function calls(command: string): Promise<number> {
  const stats = await bed.admin.info('commandstats');
  return Number(new RegExp(`cmdstat_${command}:calls=(\\d+)`).exec(stats)?.[1] ?? 0);
}
