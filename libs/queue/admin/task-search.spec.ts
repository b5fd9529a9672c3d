import { describe, expect, it } from '@jest/globals';
import { commandDelta } from '../../../test/support/command-delta.js';
import { gate } from '../../../test/support/gate.js';
import { QueueBed } from '../../../test/support/queue-bed.js';
import { until } from '../../../test/support/until.js';
import { defineScript, frame, lua } from '../../redis/index.js';
import { DeadLetterTask, SnoozeTask, type QueueService, type Task } from '../index.js';
import { RELEASED } from '../store/queue.keys.js';
import { INDEX } from '../store/scripts/index.fragment.js';

const bed = new QueueBed();
const producer = async (): Promise<QueueService> => (await bed.start({ queue: { consumers: false } })).queue;
const LATER_MS = 3_600_000;

/** Entries are handed to `consumer`. */
const read = (count: number, consumer = 'foreign', group = 'sluice'): Promise<unknown> =>
  bed.admin.xreadgroup('GROUP', group, consumer, 'COUNT', count, 'STREAMS', 'tasks', '>');
const newGroup = (group = 'sluice'): Promise<unknown> => bed.admin.xgroup('CREATE', 'tasks', group, '0', 'MKSTREAM');

/** Does what its payload says; `hold` and `hold again` (in its second run) wait at the gate. */
function actor(opened: Promise<void>): (task: Task<never>) => Promise<void> {
  return async ({ payload, attempt }: Task<string>) => {
    if (payload === 'die') throw new DeadLetterTask('asked to');
    if (payload === 'snooze') throw new SnoozeTask({ delayMs: LATER_MS });
    if (payload.endsWith('again') && attempt === 1) throw new Error('again');
    if (payload.startsWith('hold')) await opened;
  };
}

const indexes = async (): Promise<string[]> => (await bed.admin.keys('*')).filter((key) => key.includes('index'));

describe('one task', () => {
  it('is found by the id that publish returned, wherever it is, and not when it is done', async () => {
    const { opened, open } = gate();
    const { queue } = await bed.start({
      queue: { backoff: 0 },
      handlers: { tasks: { run: actor(opened), options: { concurrency: 3, maxAttempts: 2 } } },
    });
    const stateOf = async (id: string): Promise<unknown> => (await queue.inspect('tasks', id))?.state;
    const untilState = (id: string, state: string | undefined): Promise<unknown> =>
      until(async () => (await stateOf(id)) === state, { what: `${id} is ${state}` });
    const publish = (payload: string, delayMs = 0): Promise<string> => queue.publish('tasks', payload, { delayMs });
    const [died, snoozed] = [await publish('die'), await publish('snooze')];
    await untilState(died, 'dead');
    await untilState(snoozed, 'delayed');
    const retried = await publish('hold again');
    const promoted = await publish('hold', 1);
    await untilState(retried, 'running');
    await until(async () => (await queue.counts('tasks')).running === 2, { what: 'two run' });
    const first = await publish('hold');
    await until(async () => (await queue.counts('tasks')).running === 3, { what: 'three run' });
    // What waits is not prefetched then.
    await queue.pause('tasks');
    const [promotedToo, waiting] = [await publish('x', 1), await publish('x')];
    await until(async () => (await queue.counts('tasks')).delayed === 1, { what: 'the delayed one was promoted' });

    expect(await queue.inspect('tasks', died)).toMatchObject({ id: died, state: 'dead', reason: 'asked to' });
    expect(await queue.inspect('tasks', retried)).toMatchObject({ id: retried, state: 'running', attempt: 2 });
    expect(await queue.inspect('tasks', promoted)).toMatchObject({ id: promoted, state: 'running', payload: 'hold' });
    expect(await stateOf(first)).toBe('running');
    expect(await stateOf(waiting)).toBe('waiting');
    expect(await queue.inspect('tasks', promotedToo)).toMatchObject({ id: promotedToo, state: 'waiting' });
    expect(await stateOf('nothing')).toBeUndefined();
    expect(await stateOf('0-1')).toBeUndefined();
    expect(await queue.remove('tasks', retried)).toBe(false);
    expect(await queue.remove('tasks', promotedToo)).toBe(true);
    open();
    await queue.resume('tasks');
    await bed.untilSettled();
    for (const id of [retried, promoted, promotedToo, first, waiting]) expect(await stateOf(id)).toBeUndefined();
    expect(await bed.admin.zcard('{tasks}:~index')).toBe(0);
    expect(await queue.dead('tasks').redrive()).toBe(1);
    await untilState(died, 'dead');
    expect(await bed.admin.zcard('{tasks}:~dead-index')).toBe(1);
    expect(await queue.remove('tasks', died)).toBe(true);
    expect(await indexes()).toEqual([]);
  });

  it('costs the same wherever it is and however many there are, also if there is no such task', async () => {
    const queue = await producer();
    await newGroup();
    const pipeline = bed.admin.pipeline();
    for (let n = 0; n < 3_000; n++) {
      pipeline.xadd('{tasks}:~dead', '*', 'payload', '1', 'original_id', `x${n}`);
      pipeline.zadd('{tasks}:~dead-index', n, `x${n}`);
      pipeline.xadd('tasks', '*', 'payload', '1');
      pipeline.xadd('{tasks}:~retry:sluice', '*', 'payload', '1', 'meta', JSON.stringify({ id: `x${n}` }));
    }
    await pipeline.exec();
    const done = await queue.publish('tasks', 1);
    await bed.admin.xdel('tasks', done);
    // The script is known from here on.
    await queue.inspect('tasks', '1-1');
    for (const id of [done, '1795898013294-77', '1-1', 'AAAAAAAAAAAA.zz', 'a', '*', '', '1-99999999999999999999']) {
      const { calls, total } = await commandDelta(bed.admin, async () => {
        expect([id, await queue.inspect('tasks', id)]).toEqual([id, undefined]);
        expect([id, await queue.remove('tasks', id)]).toEqual([id, false]);
      });
      expect(calls['evalsha']).toBe(2);
      expect(total).toBeLessThanOrEqual(30);
    }
    const { total } = await commandDelta(bed.admin, async () => {
      expect(await queue.inspect('tasks', 'i'.repeat(1 << 20))).toBeUndefined();
      expect(await queue.remove('tasks', 'i'.repeat(1 << 20))).toBe(false);
    });
    expect(total).toBe(0);
  });

  it('is not mistaken for another one that has such an id', async () => {
    const queue = await producer();
    const retry = await bed.admin.xadd('tasks', '*', 'payload', '3', 'meta', '{"id":"1-1"}');
    const foreign = await bed.admin.xadd('tasks', '*', 'payload', '3', 'meta', '{"user":{"id":"42"}}');
    await bed.admin.xadd('{tasks}:~dead', '7-7', 'payload', '4', 'meta', '', 'original_id', 'dead');
    await bed.admin.xadd('{tasks}:~dead', '7-8', 'payload', '4');
    expect(await queue.inspect('tasks', retry!)).toBeUndefined();
    expect(await queue.inspect('tasks', '42')).toBeUndefined();
    expect(await queue.remove('tasks', '42')).toBe(false);
    expect(await queue.inspect('tasks', foreign!)).toMatchObject({ id: foreign, state: 'waiting' });
    expect(await queue.inspect('tasks', '7-7')).toBeUndefined();
    expect(await queue.inspect('tasks', '7-8')).toMatchObject({ id: '7-8', state: 'dead' });
    // An index that is behind, or wrong, leads to nothing.
    await bed.admin.zadd('{tasks}:~index', parseInt(foreign!, 10), 'gone');
    await bed.admin.zadd('{tasks}:~dead-index', 7 + 7 / 2_048, 'gone');
    expect(await queue.inspect('tasks', 'gone')).toBeUndefined();
    expect(await queue.remove('tasks', 'gone')).toBe(false);
  });

  it('is asked for by an id, in a group, and by nothing else', async () => {
    const queue = await producer();
    const bad = { code: 'SLUICE_BAD_OPTION' };
    for (const id of [undefined, null, 7, {}, ['1-1']] as unknown as string[]) {
      await expect(queue.inspect('tasks', id)).rejects.toMatchObject(bad);
      await expect(queue.remove('tasks', id)).rejects.toMatchObject(bad);
    }
    for (const group of [7, '', 'g'.repeat(1_025)] as string[]) {
      await expect(queue.inspect('tasks', '1-1', { group })).rejects.toMatchObject(bad);
      await expect(queue.counts('tasks', { group })).rejects.toMatchObject(bad);
      await expect(queue.list('tasks', { group })).rejects.toMatchObject(bad);
    }
  });

  it('can be removed wherever it waits, and not from a worker', async () => {
    const queue = await producer();
    await newGroup();
    await newGroup('other');
    const [returned, running, waiting] = (await queue.publishMany('tasks', [1, 2, 3])) as [string, string, string];
    await read(1, RELEASED);
    await read(1);
    await bed.admin.zadd('{tasks}:~delayed:sluice', Date.now() + LATER_MS, 'later');
    await bed.admin.hset('{tasks}:~bodies:sluice', 'later', frame('1', '1700000000', '1', '{"id":"later"}'));
    const remove = (id: string): Promise<boolean> => queue.remove('tasks', id);
    expect(await remove(running)).toBe(false);
    await read(1, 'them', 'other');
    expect(await remove(returned)).toBe(false);
    await bed.admin.xack('tasks', 'other', returned);
    for (const id of [returned, waiting, 'later']) {
      expect([id, await remove(id), await remove(id)]).toEqual([id, true, false]);
    }
    expect((await bed.admin.xrange('tasks', '-', '+')).map(([id]) => id)).toEqual([running]);
    expect(await bed.admin.xpending('tasks', 'sluice')).toMatchObject([1, running, running, [['foreign', '1']]]);
    expect(await bed.admin.exists('{tasks}:~delayed:sluice', '{tasks}:~bodies:sluice')).toBe(0);
  });

  it('is found in each of several groups, whose indexes are cleaned as their entries are', async () => {
    const { opened, open } = gate();
    const options = { backoff: 0, maxAttempts: 2, leaseMs: 300 } as const;
    const mail = await bed.start({ queue: { ...options, group: 'mail' }, handlers: { tasks: actor(opened) } });
    const fail = (): void => {
      throw new Error('no');
    };
    const bill = await bed.start({ queue: { ...options, group: 'bill' }, handlers: { tasks: fail } });
    const id = await mail.queue.publish('tasks', 'hold again', { delayMs: 1 });
    const untilIs = (group: string, state: string, attempt: number): Promise<unknown> =>
      until(
        async () => {
          const found = await mail.queue.inspect('tasks', id, { group });
          return found?.state === state && found.attempt === attempt;
        },
        { what: `for ${group} it is ${state} in attempt ${attempt}` },
      );
    await untilIs('mail', 'running', 2);
    await untilIs('bill', 'dead', 2);
    open();
    await until(async () => (await mail.queue.inspect('tasks', id, { group: 'mail' }))?.state === 'dead', {
      what: 'what is left of it is the letter of the other group',
    });
    expect(await bill.queue.dead('tasks').redrive()).toBe(1);
    await untilIs('bill', 'dead', 2);
    expect(await bill.queue.dead('tasks').purge({ filter: (letter) => letter.id === id })).toBe(1);
    await until(async () => (await indexes()).length === 0, { what: 'the janitor has cleaned' });
  });

  it('is done for a group that has settled it, while it is there for another', async () => {
    const { queue } = await bed.start({ handlers: { tasks: actor(Promise.resolve()) } });
    await newGroup('late');
    const ids = await queue.publishMany('tasks', ['x', 'x']);
    await until(async () => (await queue.counts('tasks')).waiting === 0, { what: 'they were read' });
    await until(async () => (await queue.counts('tasks')).running === 0, { what: 'they are settled' });
    for (const id of ids) {
      expect(await queue.inspect('tasks', id)).toBeUndefined();
      expect(await queue.remove('tasks', id)).toBe(false);
      expect(await queue.inspect('tasks', id, { group: 'late' })).toMatchObject({ id, state: 'waiting' });
    }
  });

  it('is found among letters of several groups until the last of them is gone', async () => {
    const apps = await Promise.all(
      ['a', 'b', 'c'].map((group) =>
        bed.start({ queue: { group, maxAttempts: 1 }, handlers: { tasks: actor(Promise.resolve()) } }),
      ),
    );
    const [{ queue }] = apps as [(typeof apps)[0]];
    const id = await queue.publish('tasks', 'die');
    await until(async () => (await queue.counts('tasks')).dead === 3, { what: 'it is dead in each group' });
    for (let left = 3; left > 0; left--) {
      expect([left, (await queue.inspect('tasks', id))?.state]).toEqual([left, 'dead']);
      expect(await queue.remove('tasks', id)).toBe(true);
    }
    expect(await queue.inspect('tasks', id)).toBeUndefined();
  });

  it('is not found any more once its letter was trimmed or purged', async () => {
    const { queue } = await bed.start({
      queue: { leaseMs: 300, dead: { keep: 1 } },
      handlers: { tasks: actor(Promise.resolve()) },
    });
    const ids = await queue.publishMany('tasks', ['die', 'die', 'die']);
    await until(async () => (await bed.admin.zcard('{tasks}:~dead-index')) === 1, { what: 'two of three are trimmed' });
    const states = await Promise.all(ids.map(async (id) => (await queue.inspect('tasks', id))?.state));
    expect(states.filter((state) => state === 'dead')).toHaveLength(1);
    await queue.dead('tasks').purge();
    expect(await indexes()).toEqual([]);
  });

  it('runs, fails, is delayed and dies as ever while a key of another type stands where the index belongs', async () => {
    await bed.admin.set('{tasks}:~index', 'mine');
    await bed.admin.set('{tasks}:~dead-index', 'mine');
    const ran: string[] = [];
    const { queue } = await bed.start({
      queue: { leaseMs: 300, maxAttempts: 2 },
      handlers: {
        tasks: ({ payload, attempt }: Task<string>) => {
          ran.push(`${payload} ${attempt}`);
          if (payload === 'die' || attempt === 1) throw new Error('no');
        },
      },
    });
    await queue.publish('tasks', 'die');
    await queue.publish('tasks', 'later', { delayMs: 1 });
    await bed.untilSettled();
    await until(() => ran.length === 4, { what: 'each ran twice' });
    await until(async () => (await queue.counts('tasks')).dead === 1, { what: 'one is dead' });
    await queue.dead('tasks').redrive();
    await until(() => ran.length === 6, { what: 'it runs again' });
    await until(async () => (await queue.counts('tasks')).dead === 1, { what: 'it is dead again' });
    expect(ran.sort()).toEqual(['die 1', 'die 1', 'die 2', 'die 2', 'later 1', 'later 2']);
  });
});

describe('the index', () => {
  const indexScript = defineScript({
    name: 'test:index',
    keys: ['index'],
    args: {},
    lua: lua`${INDEX}
for i = rest + 1, #ARGV do indexEntry(index, 'task', ARGV[i]) end
return indexed(index, 'task')`,
    decode: (reply) => reply as [from: string, to: string][],
  });

  it('leads to one entry, and behind the 2,047th of a millisecond to the rest of it', async () => {
    const { connections } = await bed.start({ queue: { consumers: false } });
    const index = (...rest: string[]): Promise<[string, string][]> =>
      indexScript.run(connections.get().commands, { keys: { index: 'i' }, args: {}, rest });
    const [ms] = await bed.admin.time().then(([seconds]) => [Number(seconds) * 1_000 + 789]);
    expect(await index(`${ms}-2046`, `${ms}-5000`, 'task')).toEqual([
      [`${ms}-2046`, `${ms}-2046`],
      [`${ms}-2047`, `${ms}`],
    ]);
  });
});
