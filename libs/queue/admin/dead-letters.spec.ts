import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { Redis } from 'ioredis';
import { itAsUsersSendIt } from '../../../test/support/cluster-mode.js';
import { ManualClock } from '../../../test/support/manual-clock.js';
import { until } from '../../../test/support/until.js';
import { RedisConnections } from '../../redis/index.js';
import { startRedis, type RedisServer } from '../../testing/index.js';
import { HandlerRegistry } from '../handlers/handler.registry.js';
import { LocalPauses } from '../worker/control/local-pauses.js';
import { QueueTally } from '../observe/queue.stats.js';
import {
  QueueService,
  defineQueue,
  payload,
  type DeadLetters,
  type QueueDefinition,
  type QueueOfTasks,
  type SluiceQueueModuleOptions,
} from '../index.js';
import { resolveQueueOptions } from '../queue.options.js';
import { fieldsOf } from '../store/stream-reply.js';

/** A queue service without an app around it, and so without handlers. */
function newQueueService(connections: RedisConnections, options: SluiceQueueModuleOptions = {}): QueueService {
  const resolved = resolveQueueOptions(options);
  return new QueueService(
    connections,
    resolved,
    new HandlerRegistry(resolved, connections),
    new QueueTally(),
    new LocalPauses(),
  );
}

let redis: RedisServer;
let admin: Redis;
let connections: RedisConnections;
let queue: QueueService;
let dead: DeadLetters<{ n: number }>;
beforeAll(async () => {
  redis = await startRedis();
  admin = new Redis(redis.url, { protocol: 2 });
  connections = await new RedisConnections({ redis: { url: redis.url } }).open();
  queue = newQueueService(connections);
  dead = queue.dead('tasks');
});
afterAll(async () => {
  admin.disconnect();
  await connections.onApplicationShutdown();
  await redis.stop();
});
beforeEach(() => admin.flushall());

/** Letters as a burial writes them, with n from `from` on. */
async function bury(count: number, { from = 0, reason = 'max-attempts', group = 'sluice' } = {}): Promise<void> {
  const pipeline = admin.pipeline();
  for (let n = from; n < from + count; n++) {
    const meta = JSON.stringify({ id: `id-${n}`, maxAttempts: 7, defers: 3, deferredMs: 5 });
    const own = ['payload', `{"n":${n}}`, 'timestamp', '1700000000', 'retry_count', '3', 'meta', meta, 'trace', 'x'];
    const why = ['original_id', `id-${n}`, 'reason', reason, 'error', 'Error: no', 'stack', 'at', 'attempts', '3'];
    pipeline.xadd('{tasks}:~dead', '*', ...own, ...why, 'deliveries', '1', 'group', group, 'failed_at', '1700000100');
  }
  await pipeline.exec();
}

const entries = async (stream: string): Promise<Record<string, string>[]> =>
  (await admin.xrange(stream, '-', '+')).map(([, fields]) => fieldsOf(fields));
const numbers = async (stream: string): Promise<number[]> =>
  (await entries(stream)).map(({ payload }) => (JSON.parse(payload!) as { n: number }).n);
const upTo = (count: number): number[] => [...new Array(count).keys()];

describe('list', () => {
  it('shows why they died', async () => {
    await bury(1);
    expect((await dead.list()).tasks).toEqual([
      {
        ...{ id: 'id-0', state: 'dead', payload: { n: 0 }, attempt: 3, deliveries: 1, group: 'sluice' },
        ...{ reason: 'max-attempts', error: 'Error: no', stack: 'at', entryId: expect.any(String) },
        ...{ publishedAt: new Date(1_700_000_000_000), failedAt: new Date(1_700_000_100_000) },
      },
    ]);
  });

  it('pages and filters', async () => {
    await bury(500);
    const seen: number[] = [];
    for (let after: string | undefined; ;) {
      const filter = ({ payload }: { payload: { n: number } }): boolean => payload.n % 3 === 0;
      const page = await dead.list({ limit: 50, filter, ...(after === undefined ? {} : { after }) });
      seen.push(...page.tasks.map(({ payload }) => payload.n));
      if (page.next === undefined) break;
      after = page.next;
    }
    expect(seen).toEqual(upTo(500).filter((n) => n % 3 === 0));
    await expect(dead.list({ limit: 0 })).rejects.toMatchObject({ code: 'SLUICE_BAD_OPTION' });
  });
});

describe('redrive', () => {
  it('brings them back as if they had never run, with their id and all that was theirs', async () => {
    await bury(2);
    expect(await dead.redrive()).toBe(2);
    expect((await entries('tasks'))[0]).toEqual({
      ...{ payload: '{"n":0}', timestamp: '1700000000', retry_count: '0', trace: 'x' },
      meta: '{"id":"id-0","maxAttempts":7}',
    });
    expect(await admin.xlen('{tasks}:~dead')).toBe(0);
    expect(await dead.redrive()).toBe(0);
  });

  it('brings each back once, however many do it at a time', async () => {
    await bury(1_000);
    const moved = await Promise.all([dead.redrive(), dead.redrive(), queue.dead('tasks').redrive()]);
    expect(moved.reduce((a, b) => a + b)).toBe(1_000);
    expect((await numbers('tasks')).sort((a, b) => a - b)).toEqual(upTo(1_000));
  });

  it('chooses, and leaves the others where they are', async () => {
    await bury(5);
    await bury(5, { from: 5, reason: 'bad-payload' });
    expect(await dead.redrive({ filter: ({ reason }) => reason === 'bad-payload' })).toBe(5);
    expect(await numbers('tasks')).toEqual([5, 6, 7, 8, 9]);
    expect(await numbers('{tasks}:~dead')).toEqual([0, 1, 2, 3, 4]);
  });

  it('leaves alone what dies while it goes on', async () => {
    // More than are read at a time.
    await bury(450);
    let buried = false;
    const filter = (): boolean => {
      if (!buried) void bury(1, { from: 450 });
      buried = true;
      return true;
    };
    expect(await dead.redrive({ filter })).toBe(450);
    expect(await numbers('{tasks}:~dead')).toEqual([450]);
  });

  it('keeps to the rate, in even steps', async () => {
    const clock = new ManualClock();
    const slow = await new RedisConnections({ redis: { url: redis.url }, clock }).open();
    const letters = newQueueService(slow).dead('tasks');
    await bury(5);
    const done = letters.redrive({ perSecond: 2 });
    for (const moved of [1, 2, 3, 4, 5]) {
      await until(async () => (await admin.xlen('tasks')) === moved, { what: `${moved} went back` });
      await clock.pass(499);
      expect(await admin.xlen('tasks')).toBe(moved);
      await clock.pass(1);
    }
    expect(await done).toBe(5);
    await slow.onApplicationShutdown();
    await expect(dead.redrive({ perSecond: 0 })).rejects.toMatchObject({ code: 'SLUICE_BAD_OPTION' });
  });

  it('can be ended between two steps', async () => {
    await bury(30);
    const ending = new AbortController();
    const done = dead.redrive({ perSecond: 100, signal: ending.signal });
    ending.abort();
    const moved = await done;
    expect(moved).toBeLessThan(30);
    expect(await admin.xlen('tasks')).toBe(moved);
    expect(await dead.redrive()).toBe(30 - moved);
  });

  it('goes to the group that gave it up, where there are several', async () => {
    await bury(2, { group: 'a' });
    await bury(1, { from: 2, group: 'b' });
    await admin.xgroup('CREATE', 'tasks', 'a', '0', 'MKSTREAM');
    await admin.xgroup('CREATE', 'tasks', 'b', '0');
    expect(await dead.redrive()).toBe(3);
    expect(await admin.xlen('tasks')).toBe(0);
    expect(await numbers('{tasks}:~retry:a')).toEqual([0, 1]);
    expect(await numbers('{tasks}:~retry:b')).toEqual([2]);
  });

  it.each([[['a']], [['a', 'b']]])(
    'leaves those of a group that reads no more, where %j do, and names the fix',
    async (groups) => {
      await bury(2, { group: 'gone' });
      await bury(1, { from: 2, group: 'a' });
      for (const group of groups) await admin.xgroup('CREATE', 'tasks', group, '0', 'MKSTREAM');
      await expect(dead.redrive()).rejects.toMatchObject({
        code: 'SLUICE_QUEUE_NO_GROUP',
        message:
          "dead letters for group 'gone' stay: it does not read queue 'tasks' (any more). Groups that do: " +
          `${groups.map((group) => `'${group}'`).join(', ')}. Name the group that shall run them: redrive({ toGroup }). 1 others went back`,
      });
      const backIn = groups.length === 1 ? 'tasks' : '{tasks}:~retry:a';
      expect(await numbers(backIn)).toEqual([2]);
      expect(await numbers('{tasks}:~dead')).toEqual([0, 1]);
      await expect(dead.redrive({ toGroup: 'nobody' })).rejects.toMatchObject({ code: 'SLUICE_QUEUE_NO_GROUP' });
      expect(await numbers('{tasks}:~dead')).toEqual([0, 1]);
      expect(await dead.redrive({ toGroup: 'a' })).toBe(2);
      expect(await numbers(backIn)).toEqual([2, 0, 1]);
      expect(await admin.exists('{tasks}:~retry:gone', '{tasks}:~retry:nobody')).toBe(0);
      await expect(dead.redrive({ toGroup: '' })).rejects.toMatchObject({ code: 'SLUICE_BAD_OPTION' });
    },
  );

  it('goes to all groups where no group gave it up', async () => {
    // A delayed task without a readable body: it never came to a group.
    await bury(1, { group: '' });
    await admin.xgroup('CREATE', 'tasks', 'a', '0', 'MKSTREAM');
    await admin.xgroup('CREATE', 'tasks', 'b', '0');
    expect(await dead.redrive()).toBe(1);
    expect(await numbers('tasks')).toEqual([0]);
  });

  itAsUsersSendIt('works on a server that is full, and loses none where the queue is no stream', async () => {
    await bury(3);
    await admin.config('SET', 'maxmemory', '1');
    try {
      expect(await dead.redrive()).toBe(3);
    } finally {
      await admin.config('SET', 'maxmemory', '0');
    }
    await admin.flushall();
    await bury(3);
    await admin.set('tasks', 'not a stream');
    await expect(dead.redrive()).rejects.toThrow('WRONGTYPE');
    expect(await admin.xlen('{tasks}:~dead')).toBe(3);
  });

  it('loses none that has more fields than Lua hands to one call', async () => {
    const extra = Array.from({ length: 5_000 }, (_, i) => [`field${i}`, 'x']).flat();
    await admin.xadd('{tasks}:~dead', '*', 'payload', '{"n":0}', ...extra, 'original_id', 'id-0', 'reason', 'x');
    expect(await dead.redrive()).toBe(1);
    expect(await entries('tasks')).toMatchObject([{ payload: '{"n":0}', fields_dropped: '5000' }]);
    expect(await admin.xlen('{tasks}:~dead')).toBe(0);
  });

  it('loses none where the retries of their group are no stream', async () => {
    await bury(3);
    for (const group of ['sluice', 'other']) await admin.xgroup('CREATE', 'tasks', group, '0', 'MKSTREAM');
    await admin.set('{tasks}:~retry:sluice', 'not a stream');
    await expect(dead.redrive()).rejects.toThrow('WRONGTYPE');
    expect(await admin.xlen('{tasks}:~dead')).toBe(3);
  });
});

describe('purge', () => {
  it('deletes all, or those that are chosen', async () => {
    await bury(250);
    expect(await dead.purge({ filter: ({ payload }) => payload.n < 240 })).toBe(240);
    expect(await numbers('{tasks}:~dead')).toEqual(upTo(250).slice(240));
    expect(await dead.purge()).toBe(10);
    expect(await admin.exists('{tasks}:~dead')).toBe(0);
    expect(await dead.purge()).toBe(0);
  });

  it.each<[string, never, string]>([
    ['another option', { reason: 'bad-payload' } as never, 'dead().purge.reason is not an option'],
    ['a filter without a value', { filter: undefined } as never, 'or left out to delete all'],
    ['a filter that is none', { filter: 'bad-payload' } as never, 'must be a function'],
    ['a filter that answers later', { filter: async () => false } as never, 'true or false, not a promise'],
    ['a filter that fails later', { filter: () => Promise.reject(new Error('x')) } as never, 'not a promise'],
    ['a filter in place of the options', (() => false) as never, 'must be an options object'],
    ['a promise of options', Promise.resolve({}) as never, 'not a promise: await it'],
  ])('deletes none with %s', async (_title, options, message) => {
    await bury(3);
    const refused = { code: 'SLUICE_BAD_OPTION', message: expect.stringContaining(message) as unknown };
    await expect(dead.purge(options)).rejects.toMatchObject(refused);
    expect(await admin.xlen('{tasks}:~dead')).toBe(3);
  });

  it.each<[string, QueueDefinition<unknown> | QueueOfTasks]>([
    ['named tasks', defineQueue('files', { tasks: { import: payload() } })],
    ['levels', defineQueue('alerts', { shares: true })],
  ])('and none of a queue with %s', async (_title, ref) => {
    const letters = queue.dead(ref as QueueOfTasks);
    const refused = { code: 'SLUICE_BAD_OPTION' };
    await expect(letters.purge({ filter: undefined } as never)).rejects.toMatchObject(refused);
    await expect(letters.purge({ reason: 'bad-payload' } as never)).rejects.toMatchObject(refused);
    await expect(letters.redrive({ reason: 'bad-payload' } as never)).rejects.toMatchObject(refused);
    await expect(letters.list({ limit: 0 })).rejects.toMatchObject(refused);
  });
});

it.each<[string, never]>([
  ['another option', { reason: 'bad-payload' } as never],
  ['a filter that answers later', { filter: async () => false } as never],
  ['a rate of none', { perSecond: 0 } as never],
  ['a signal that is none', { signal: 'stop' } as never],
])('redrive moves none with %s', async (_title, options) => {
  await bury(3);
  await expect(dead.redrive(options)).rejects.toMatchObject({ code: 'SLUICE_BAD_OPTION' });
  expect(await admin.xlen('{tasks}:~dead')).toBe(3);
});
