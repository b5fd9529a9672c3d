import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { gate } from '../../../../test/support/gate.js';
import { QueueBed } from '../../../../test/support/queue-bed.js';
import { until } from '../../../../test/support/until.js';
import { Keyspace, RedisConnections } from '../../../redis/index.js';
import type { QueueService, UniquePublish } from '../../index.js';
import { keyDigest, queueKeys, recordKey } from '../../store/queue.keys.js';
import { endKeyScript, type EndedKey } from '../../store/scripts/end-key.script.js';
import { promoteScript } from '../../store/scripts/promote.script.js';

const bed = new QueueBed();
const KEY = { key: 'k' };
const HOUR_MS = 3_600_000;
const keys = queueKeys(new Keyspace(), 'tasks');
let connections: RedisConnections;
beforeAll(async () => {
  connections = await new RedisConnections({ redis: { url: bed.redis.url } }).open();
});
afterAll(() => connections.onApplicationShutdown());
const promote = (): Promise<unknown> =>
  promoteScript.run(connections.get().commands, { keys, args: { limit: 100, unworked: 0, side: keys.side } });
const followUp = (queue: QueueService, payload: unknown): Promise<UniquePublish> =>
  queue.publishUnique('tasks', payload, { ...KEY, mode: 'follow-up' });

/** What a worker sends after a settlement. */
const ended = (id: string): Promise<EndedKey> => {
  const args = { id, side: keys.side, inboxes: ':~inbox:0:' };
  const record = recordKey(keys, keyDigest('k'));
  return endKeyScript.run(connections.get().commands, { keys: { ...keys, record }, args });
};

describe('the end of a task that had a key', () => {
  it('makes due what waits for it, and not what rests before a retry of its own', async () => {
    await bed.admin.xgroup('CREATE', 'tasks', 'sluice', '0', 'MKSTREAM');
    const { queue } = await bed.start({});
    const first = await followUp(queue, 1);
    await bed.admin.xreadgroup('GROUP', 'sluice', 'other', 'STREAMS', 'tasks', '>');
    const { id } = await followUp(queue, 2);
    expect(await ended(first.id)).toBe('kept');
    await bed.admin.xack('tasks', 'sluice', first.id);
    const [seconds] = await bed.admin.time();
    expect(await ended(first.id)).toBe('followed');
    expect(Number(await bed.admin.zscore('{tasks}:~delayed', id))).toBeLessThan((Number(seconds) + 60) * 1_000);
    await promote();
    await bed.admin.del('tasks');
    // As a worker leaves it that failed.
    const meta = JSON.stringify({ id });
    await bed.admin.hset('{tasks}:~bodies', id, `1:210:17000000001:1${meta.length}:${meta}`);
    await bed.admin.zadd('{tasks}:~delayed', 4_000_000_000_000, id);
    expect(await ended(first.id)).toBe('kept');
    expect(await bed.admin.zscore('{tasks}:~delayed', id)).toBe('4000000000000');
    expect(await ended(id)).toBe('kept');
  });

  it('leaves what was put off since then to its time', async () => {
    await bed.admin.xgroup('CREATE', 'tasks', 'sluice', '0', 'MKSTREAM');
    const { queue } = await bed.start({});
    const first = await followUp(queue, 1);
    await bed.admin.xreadgroup('GROUP', 'sluice', 'other', 'STREAMS', 'tasks', '>');
    const { id } = await followUp(queue, 2);
    const debounce = { ...KEY, mode: 'debounce', windowMs: HOUR_MS } as const;
    expect(await queue.publishUnique('tasks', 3, debounce)).toEqual({ id, outcome: 'postponed' });
    await bed.admin.xack('tasks', 'sluice', first.id);
    expect(await ended(first.id)).toBe('kept');
  });

  it('leaves the key to a task that is tried again', async () => {
    const { queue } = await bed.start({
      handlers: {
        tasks: () => {
          throw new Error('no');
        },
      },
      queue: { backoff: HOUR_MS },
    });
    const { id } = await queue.publishUnique('tasks', 1, KEY);
    await until(async () => (await queue.inspect('tasks', id))?.attempt === 2, { what: 'it rests' });
    const record = recordKey(keys, keyDigest('k'));
    const after = await queue.publishUnique('tasks', 2, { key: 'other' });
    await until(async () => (await queue.inspect('tasks', after.id))?.attempt === 2, { what: 'the other one rests' });
    expect(await bed.admin.exists(record)).toBe(1);
    expect(await queue.publishUnique('tasks', 3, KEY)).toEqual({ id, outcome: 'skipped' });
  });

  it('leaves the key to another group that still has the task, also after a retry in a stream of its own', async () => {
    const closed = gate();
    let slow = 0;
    const run = async (): Promise<void> => {
      slow++;
      await closed.opened;
    };
    let fast = 0;
    const of = (group: string, handler: () => unknown): unknown =>
      bed.start({ handlers: { tasks: { run: handler, options: { group, backoff: 1 } } }, queue: { leaseMs: 300 } });
    await of('slow', run);
    await of('fast', () => {
      if (++fast === 1) throw new Error('again');
    });
    const { queue } = await bed.start({});
    const first = await queue.publishUnique('tasks', 1, KEY);
    await until(() => slow === 1 && fast === 2, { what: 'one has it, and the other one is done' });
    await until(async () => (await queue.counts('tasks', { group: 'fast' })).running === 0, { what: 'it is settled' });
    expect(await queue.publishUnique('tasks', 2, KEY)).toEqual({ id: first.id, outcome: 'skipped' });
    // Whatever is told about the end of the task, and when.
    expect(await ended(first.id)).toBe('kept');
    closed.open();
    await until(async () => (await bed.admin.exists(recordKey(keys, keyDigest('k')))) === 0, {
      what: 'the key is forgotten',
    });
  });
});
