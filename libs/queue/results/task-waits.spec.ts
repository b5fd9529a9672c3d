import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { ManualClock } from '../../../test/support/manual-clock.js';
import { Keyspace, RedisUnavailableError, type InboxHandler, type Instant, type Link } from '../../redis/index.js';
import { queueKeys } from '../store/queue.keys.js';
import { TaskWaits, type TaskWait, type WaitEnd } from './task-waits.js';

const KEYS = queueKeys(new Keyspace(), 'tasks');
const MINUTE_MS = 60_000;

let clock: ManualClock;
let waits: TaskWaits;
/** What Redis keeps. */
let stored: Map<string, string>;
let commands: string[];
let isDown: boolean;
let deliver: InboxHandler;
let resync: () => void;
let proven: Instant;
let warned: string[];

beforeEach(() => {
  clock = new ManualClock();
  stored = new Map();
  commands = [];
  isDown = false;
  warned = [];
  proven = { monoMs: Infinity, wallMs: Infinity };
  const send = (command: string, [key = '']: string[]): Promise<unknown> => {
    commands.push(command);
    if (isDown) return Promise.reject(new RedisUnavailableError('down', 'not-sent'));
    const value = stored.get(key) ?? null;
    if (command === 'del') stored.delete(key);
    return Promise.resolve(value);
  };
  waits = new TaskWaits({
    link: { send } as unknown as Link,
    inbox: {
      on: (kind, handler) => {
        if (kind === 'queue:result') deliver = handler;
      },
      onResync: (callback) => (resync = callback),
      get proven() {
        return proven;
      },
    },
    clock,
    drainMs: 1_000,
    log: { warn: (message) => void warned.push(message) },
  });
});
afterEach(() => waits.stop());

const begin = (waitMs = MINUTE_MS): TaskWait => waits.begin('tasks', KEYS, { waitMs });
/** How a wait has ended; undefined: it has not. */
const endOf = async ({ ended }: TaskWait): Promise<WaitEnd | undefined> => {
  const pending = Symbol('pending');
  await clock.pass(0);
  const end = await Promise.race([ended, Promise.resolve(pending)]);
  return typeof end === 'symbol' ? undefined : end;
};
const GIVEN = { outcome: { kind: 'returned', text: '7' } };

describe('a wait for a task', () => {
  it('ends with the message, asks Redis for nothing, and deletes what is kept', async () => {
    const wait = begin();
    stored.set(wait.key, 'returned 7');
    deliver([wait.token, 'returned', '7']);
    expect(await endOf(wait)).toEqual(GIVEN);
    expect(commands).toEqual(['del']);
    deliver([wait.token, 'returned', '8']);
    expect(await endOf(wait)).toEqual(GIVEN);
  });

  it('does not ask while messages are known to arrive', async () => {
    const wait = begin();
    await clock.pass(MINUTE_MS - 1);
    expect(commands).toEqual([]);
    expect(await endOf(wait)).toBeUndefined();
  });

  it('looks once more when its time is over, and then ends in any case', async () => {
    const [first, second] = [begin(), begin()];
    stored.set(first.key, 'returned 7');
    await clock.pass(MINUTE_MS);
    expect(await endOf(first)).toEqual(GIVEN);
    expect(await endOf(second)).toEqual({});
    isDown = true;
    const third = begin();
    await clock.pass(MINUTE_MS);
    expect(await endOf(third)).toEqual({});
  });

  it('asks when messages may have been lost', async () => {
    const wait = begin();
    await clock.pass(10);
    stored.set(wait.key, 'returned 7');
    resync();
    expect(await endOf(wait)).toEqual(GIVEN);
    expect(stored.size).toBe(0);
  });

  it('asks again if it could not be asked then', async () => {
    const wait = begin();
    await clock.pass(10);
    isDown = true;
    stored.set(wait.key, 'returned 7');
    resync();
    await clock.pass(500);
    isDown = false;
    await clock.pass(5_000);
    expect(await endOf(wait)).toEqual(GIVEN);
    expect(warned).toEqual([]);
  });

  it('asks each second while it is not known that messages arrive', async () => {
    proven = { monoMs: -Infinity, wallMs: -Infinity };
    const wait = begin();
    await clock.pass(3_500);
    expect(commands).toEqual(['get', 'get', 'get', 'get']);
    stored.set(wait.key, 'returned 7');
    await clock.pass(1_000);
    expect(await endOf(wait)).toEqual(GIVEN);
    await clock.pass(MINUTE_MS);
    expect(commands).toHaveLength(6);
  });

  it('reads what was only announced', async () => {
    const wait = begin();
    stored.set(wait.key, 'failed {"a": 1}');
    deliver([wait.token, 'kept', '']);
    expect(await endOf(wait)).toEqual({ outcome: { kind: 'failed', text: '{"a": 1}' } });
  });

  it('ignores what a newer release may send', async () => {
    const wait = begin();
    deliver([wait.token, 'postponed', '7']);
    deliver(['another', 'returned', '7']);
    deliver([]);
    expect(await endOf(wait)).toBeUndefined();
  });

  it('leaves no timer and no listener behind', async () => {
    const caller = new AbortController();
    const wait = waits.begin('tasks', KEYS, { waitMs: MINUTE_MS, signal: caller.signal });
    await clock.pass(10);
    deliver([wait.token, 'returned', '7']);
    await clock.pass(2_000);
    expect(clock.timers).toBe(0);
    caller.abort();
    expect(await endOf(wait)).toEqual(GIVEN);
  });
});

describe('an app that stops', () => {
  it('ends what waits after drainMs, and resolves once nothing waits', async () => {
    const [first, second] = [begin(), begin()];
    let drained = false;
    void waits.drain().then(() => (drained = true));
    deliver([first.token, 'returned', '7']);
    await clock.pass(999);
    expect([drained, await endOf(second)]).toEqual([false, undefined]);
    await clock.pass(1);
    expect(await endOf(second)).toMatchObject({ error: { code: 'SLUICE_CLOSED' } });
    expect(drained).toBe(true);
    expect(() => begin()).toThrow('nothing was published');
  });

  it('lets running handlers wait until then', async () => {
    await waits.drain();
    const wait = begin();
    deliver([wait.token, 'returned', '7']);
    expect(await endOf(wait)).toEqual(GIVEN);
    await waits.stop();
    await clock.pass(0);
    expect(clock.timers).toBe(0);
  });
});
