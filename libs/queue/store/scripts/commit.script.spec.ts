import { describe, expect, it } from '@jest/globals';
import { CommitBed, DONE, ME, key, refused } from '../../../../test/model/commit-bed.js';
import { itAsUsersSendIt } from '../../../../test/support/cluster-mode.js';
import { itAsDefaultUser, withoutRight } from '../../../../test/support/refused-commands.js';
import { CONSUMER_PREFIX, joinKey } from '../queue.keys.js';

const OTHER = `${CONSUMER_PREFIX}other`;
const bed = new CommitBed();
const { keys, mails, commit } = bed;

describe('a task with notes', () => {
  it('is acknowledged and deleted, and all is written and published, in one step', async () => {
    const id = await bed.pendingTask(ME);
    const { admin } = bed;
    await admin.set(key('count'), 5);
    await admin.sadd(key('set'), 'a', 'b');
    await admin.zadd(key('zset'), 1, 'a', 2, 'b');
    await admin.hset(key('hash'), { a: 1, b: 2 });
    await admin.set(key('gone'), 'x');
    await admin.set(key('unlinked'), 'x');
    const writes = [
      ['set', key('text'), 'hello'],
      ['del', key('gone')],
      ['unlink', key('unlinked')],
      ['incrby', key('count'), 3],
      ['decrby', key('left'), 2],
      ['hset', key('hash'), 'c', 3],
      ['hdel', key('hash'), 'a', 'b'],
      ['hincrby', key('hash'), 'n', -4],
      ['sadd', key('set'), 'c', 'd'],
      ['srem', key('set'), 'a'],
      ['zadd', key('zset'), 1.5, 'c'],
      ['zrem', key('zset'), 'a'],
      ['rpush', key('list'), 'x', 'y'],
      ['expire', key('list'), 100],
    ];
    const done = await commit(id, writes, { next: [{ payload: '1' }, { payload: '2' }] });
    expect(await bed.pending()).toEqual({});
    expect(await admin.xlen(keys.stream)).toBe(0);
    expect(await admin.mget(key('text'), key('gone'), key('unlinked'), key('count'), key('left'))).toEqual([
      'hello',
      null,
      null,
      '8',
      '-2',
    ]);
    expect(await admin.hgetall(key('hash'))).toEqual({ c: '3', n: '-4' });
    expect((await admin.smembers(key('set'))).sort()).toEqual(['b', 'c', 'd']);
    expect(await admin.zrange(key('zset'), '0', '-1', 'WITHSCORES')).toEqual(['c', '1.5', 'b', '2']);
    expect(await admin.lrange(key('list'), 0, -1)).toEqual(['x', 'y']);
    expect(await admin.ttl(key('list'))).toBeGreaterThan(90);
    const published = await bed.entries(mails.stream);
    expect(published).toMatchObject([
      { payload: '1', timestamp: '1700000000', retry_count: '0', meta: '' },
      { payload: '2' },
    ]);
    expect(done).toEqual({ how: 'done', ids: published.map((entry) => entry['id']) });
  });

  it('publishes later: so long after the acknowledgement, or at a time', async () => {
    const id = await bed.pendingTask(ME);
    const nowMs = await bed.serverMs();
    const next = [
      { payload: '1', delayMs: 60_000, handle: 'one' },
      { payload: '2', runAtMs: nowMs + 120_000, handle: 'two' },
      { payload: '3', runAtMs: 1_000, handle: 'past' },
    ];
    expect(await commit(id, [], { next })).toEqual({ how: 'done', ids: ['one', 'two', 'past'] });
    const due = await bed.admin.zrange(mails.delayed, '0', '-1', 'WITHSCORES');
    expect([due[0], due[2], due[4]]).toEqual(['past', 'one', 'two']);
    expect(Number(due[3]) - nowMs).toBeGreaterThanOrEqual(60_000);
    expect(Number(due[5])).toBe(nowMs + 120_000);
    expect(await bed.admin.hget(mails.bodies, 'one')).toBe('1:110:17000000001:00:');
    expect(await bed.admin.exists(keys.delayed, keys.bodies)).toBe(0);
  });

  it('is forgotten under its own id, and counts in its join', async () => {
    const id = await bed.pendingTask(ME);
    await bed.admin.zadd(keys.index, `${parseInt(id, 10)}`, 'first-id');
    const join = { total: '1', sent: '1', target: mails.stream, payload: '7', meta: '' };
    await bed.admin.hset(joinKey(keys, 'j'), join);
    expect(await commit(id, [['set', key('k'), 1]], { join: 'j/0', task: 'first-id' })).toEqual(DONE);
    expect(await bed.admin.exists(keys.index, joinKey(keys, 'j'))).toBe(0);
    expect(await bed.entries(mails.stream)).toMatchObject([
      { payload: '{"payload":7,"counts":{"total":1,"completed":1,"failed":0,"removed":0}}' },
    ]);
  });

  it('stays in the stream for another group, which has not had it', async () => {
    const id = await bed.pendingTask(ME);
    await bed.admin.xgroup('CREATE', keys.stream, 'other', '0');
    expect(await commit(id, [['incrby', key('n'), 1]])).toEqual(DONE);
    expect(await bed.admin.xlen(keys.stream)).toBe(1);
  });
});

describe('a delivery that is not ours any more', () => {
  const writes = [['incrby', key('n'), 1]];
  const next = [{ payload: '1' }];
  const nothingDone = async (): Promise<void> => {
    expect(await bed.admin.exists(key('n'), mails.stream)).toBe(0);
  };

  it('writes nothing: another worker has the task', async () => {
    const id = await bed.pendingTask(OTHER);
    expect(await commit(id, writes, { next })).toEqual({ how: 'stale' });
    await nothingDone();
    expect(Object.keys(await bed.pending())).toEqual([id]);
  });

  it('writes nothing: it came back to us with another delivery', async () => {
    const id = await bed.pendingTask(ME, { deliveries: 3 });
    expect(await commit(id, writes, { next, deliveries: 2 })).toEqual({ how: 'stale' });
    await nothingDone();
    expect(await commit(id, writes, { deliveries: 3 })).toEqual(DONE);
  });

  it('writes nothing a second time: the call is a repeat', async () => {
    const id = await bed.pendingTask(ME);
    expect(await commit(id, writes)).toEqual(DONE);
    expect(await commit(id, writes)).toEqual({ how: 'stale' });
    expect(await bed.admin.get(key('n'))).toBe('1');
  });
});

describe('what the user has no right to', () => {
  itAsDefaultUser.each([
    ['incrby', ['incrby', key('k'), 1]],
    ['rpush', ['rpush', key('k'), 'v']],
  ])('%s is refused before anything is written', async (name, write) => {
    const id = await bed.pendingTask(ME);
    const answer = await withoutRight(bed.admin, name, () => commit(id, [['set', key('a'), 1], write]));
    expect(answer).toEqual(refused(1, 'right'));
    expect(await bed.admin.exists(key('a'), key('k'))).toBe(0);
    expect(Object.keys(await bed.pending())).toEqual([id]);
  });

  itAsDefaultUser.each([
    ['XADD', { payload: '1' }],
    ['ZADD', { payload: '1', delayMs: 1, handle: 'h' }],
    ['ZRANGE', { payload: '1', delayMs: 1, handle: 'h' }],
    ['HSET', { payload: '1', delayMs: 1, handle: 'h' }],
    ['ZREVRANGE', { payload: '1', delayMs: 1, handle: 'h' }],
  ])('a task is refused before anything is written: no %s', async (command, next) => {
    const id = await bed.pendingTask(ME);
    const answer = await withoutRight(bed.admin, command, () => commit(id, [['set', key('a'), 1]], { next: [next] }));
    expect(answer).toEqual({ how: 'refused', next: 0, fault: 'right', kind: '' });
    expect(await bed.admin.exists(key('a'))).toBe(0);
    expect(Object.keys(await bed.pending())).toEqual([id]);
  });
});

describe('a task that cannot be published', () => {
  const later = { payload: '1', delayMs: 1, handle: 'h' };
  it.each([
    ['stream', () => mails.stream, { payload: '1' }],
    ['sorted set of delayed tasks', () => mails.delayed, later],
    ['hash of bodies', () => mails.bodies, later],
    ['sorted set of leases', () => mails.alive, later],
  ])('leaves all as it is: its %s is something else', async (_, wrong, next) => {
    const id = await bed.pendingTask(ME);
    await bed.admin.set(wrong(), 'x');
    const answer = await commit(id, [['set', key('a'), 1]], {
      next: [{ payload: '0' }, next].slice(next === later ? 0 : 1),
    });
    expect(answer).toMatchObject({ how: 'refused', fault: 'type', kind: 'string' });
    expect(await bed.admin.exists(key('a'))).toBe(0);
    expect(Object.keys(await bed.pending())).toEqual([id]);
  });

  it('leaves all as it is: a write takes its place', async () => {
    const id = await bed.pendingTask(ME);
    const answer = await commit(id, [['set', mails.stream, 1]], { next: [{ payload: '0' }] });
    expect(answer).toEqual({ how: 'refused', next: 0, fault: 'type', kind: 'string' });
    expect(await bed.admin.exists(mails.stream)).toBe(0);
  });

  it('leaves all as it is: a write takes the place of the queue after a join', async () => {
    const id = await bed.pendingTask(ME);
    const join = { total: '1', sent: '1', target: mails.stream, payload: '7', meta: '' };
    await bed.admin.hset(joinKey(keys, 'j'), join);
    expect(await commit(id, [['set', mails.stream, 1]], { join: 'j/0' })).toMatchObject({ fault: 'replaced' });
    expect(await bed.admin.exists(mails.stream)).toBe(0);
    expect(Object.keys(await bed.pending())).toEqual([id]);
  });
});

describe('a full server', () => {
  itAsUsersSendIt('takes all of it: the first write frees memory', async () => {
    const id = await bed.pendingTask(ME);
    await bed.admin.config('SET', 'maxmemory', '1');
    try {
      await expect(bed.admin.set('x', 1)).rejects.toThrow('OOM');
      const done = await commit(
        id,
        [
          ['set', key('a'), 'x'.repeat(10_000)],
          ['incrby', key('n'), 1],
        ],
        {
          next: [{ payload: '1' }, { payload: '2', delayMs: 1_000, handle: 'h' }],
        },
      );
      expect(done.how).toBe('done');
    } finally {
      await bed.admin.config('SET', 'maxmemory', '0');
    }
    expect(await bed.admin.get(key('n'))).toBe('1');
    expect(await bed.admin.xlen(mails.stream)).toBe(1);
  });

  it('that takes no writes takes none of it', async () => {
    const id = await bed.pendingTask(ME);
    await bed.admin.config('SET', 'min-replicas-to-write', '1');
    try {
      await expect(commit(id, [['set', key('a'), 1]])).rejects.toMatchObject({ refusal: 'NOREPLICAS' });
    } finally {
      await bed.admin.config('SET', 'min-replicas-to-write', '0');
    }
    expect(await bed.admin.exists(key('a'))).toBe(0);
    expect(Object.keys(await bed.pending())).toEqual([id]);
  });
});
