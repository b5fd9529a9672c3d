import { describe, expect, it } from '@jest/globals';
import { itAsUsersSendIt } from '../../../../test/support/cluster-mode.js';
import { GROUP, QueueScriptBed, task } from '../../../../test/support/queue-script-bed.js';
import { Keyspace } from '../../../redis/index.js';
import { CONSUMER_PREFIX, queueKeys, retryKeys } from '../queue.keys.js';
import { settleFailureScript, type Settled, type Settlement } from './settle-failure.script.js';

const ME = `${CONSUMER_PREFIX}me`;
const OTHER = `${CONSUMER_PREFIX}other`;
const INBOXES = ':~inbox:0:';
const RETRY = retryKeys(new Keyspace(), 'tasks', GROUP);
const keys = queueKeys(new Keyspace(), 'tasks');
const bed = new QueueScriptBed(keys.stream);
const { pendingTask, pending, entries, serverMs } = bed;

const KEYS = {
  ...keys,
  ...{ retry: RETRY.stream, retryDelayed: RETRY.delayed, retryBodies: RETRY.bodies, retryIndex: RETRY.index },
};

describe('settle-failure', () => {
  const settled = (
    id: string,
    over: { deliveries?: number; reason?: string; meta?: string; delayMs?: number } = {},
  ): Promise<Settled> =>
    settleFailureScript.run(bed.link, {
      keys: { history: KEYS.dead, ...KEYS, failedTo: KEYS.dead },
      args: {
        run: '',
        group: GROUP,
        consumer: ME,
        id,
        deliveries: 1,
        attempts: '1',
        meta: `{"id":"${id}"}`,
        isDead: over.reason === undefined ? 0 : 1,
        reason: '',
        delayMs: 0,
        handle: 'task-1',
        inboxes: INBOXES,
        publishes: '',
        side: keys.side,
        isJson: 1,
        failure: 'Error: no',
        stack: 'Error: no at x',
        ...over,
      },
    });
  const settle = async (...given: Parameters<typeof settled>): Promise<Settlement> => (await settled(...given)).as;

  it('queues a task again in one step, with all its fields, one attempt later', async () => {
    const id = await pendingTask(ME, { fields: ['x', '1', ...task('{"n":1}', '0', 'm').slice(0, 6), 'y', '2'] });
    expect(await settle(id)).toBe('retried');
    expect(await pending()).toEqual({});
    const [retry, ...others] = await bed.admin.xrange(keys.stream, '-', '+');
    expect(others).toEqual([]);
    expect(retry![0]).not.toBe(id);
    expect(retry![1]).toEqual([...task('{"n":1}', '1', `{"id":"${id}"}`), 'x', '1', 'y', '2']);
  });

  it('keeps the bytes of a payload that is not text', async () => {
    const bytes = Buffer.from([0x22, 0xff, 0x00, 0x22]);
    await bed.admin.xadd(keys.stream, '1-0', 'payload', bytes, 'timestamp', '1');
    await bed.admin.xreadgroup('GROUP', GROUP, ME, 'STREAMS', keys.stream, '>');
    await settle('1-0');
    const [retry] = await bed.admin.xrangeBuffer(keys.stream, '-', '+');
    expect(retry![1][1]).toEqual(bytes);
  });

  it('buries a task with the reason', async () => {
    const id = await pendingTask(ME, { deliveries: 2, fields: [...task('{"n":1}', '1'), 'x', '1'] });
    expect(await settle(id, { deliveries: 2, reason: 'max-attempts', meta: '{"id":"1-1"}' })).toBe('dead');
    expect(await pending()).toEqual({});
    expect(await bed.admin.xlen(keys.stream)).toBe(0);
    const [letter, ...others] = await bed.admin.xrange(keys.dead, '-', '+');
    expect(others).toEqual([]);
    const failedAt = letter![1].at(-1);
    expect(letter![1]).toEqual([
      ...['payload', '{"n":1}', 'timestamp', '1700000000', 'retry_count', '1', 'meta', '{"id":"1-1"}', 'x', '1'],
      ...['original_id', 'task-1', 'reason', 'max-attempts', 'error', 'Error: no', 'stack', 'Error: no at x'],
      ...['attempts', '1', 'deliveries', '2', 'group', GROUP, 'failed_at', failedAt],
    ]);
    expect(Math.abs(Number(failedAt) * 1_000 - (await serverMs()))).toBeLessThan(10_000);
  });

  it("buries a task under its own id, whatever ids a producer's meta has inside", async () => {
    const id = await pendingTask(ME);
    await settle(id, { reason: 'max-attempts', meta: '{"user":{"id":"42"},"id":"task-1"}' });
    expect(await entries(keys.dead)).toMatchObject([{ original_id: 'task-1' }]);
  });

  it('does nothing with a task that another consumer has', async () => {
    const id = await pendingTask(OTHER);
    expect(await settle(id)).toBe('fenced');
    expect(await settle(id, { reason: 'max-attempts' })).toBe('fenced');
    expect(await pending()).toEqual({ [id]: [OTHER, 1] });
    expect(await bed.admin.xlen(keys.stream)).toBe(1);
    expect(await bed.admin.exists(keys.dead)).toBe(0);
  });

  it('does nothing for an earlier delivery than the current one', async () => {
    const id = await pendingTask(ME, { deliveries: 3 });
    expect(await settle(id, { deliveries: 2 })).toBe('fenced');
    expect(await pending()).toEqual({ [id]: [ME, 3] });
    expect(await bed.admin.xlen(keys.stream)).toBe(1);
  });

  it('does nothing the second time', async () => {
    const id = await pendingTask(ME);
    expect([await settle(id), await settle(id)]).toEqual(['retried', 'stale']);
    expect(await bed.admin.xlen(keys.stream)).toBe(1);
  });

  it('lets go of a task whose entry was deleted', async () => {
    const id = await pendingTask(ME);
    await bed.admin.xdel(keys.stream, id);
    expect(await settle(id)).toBe('stale');
    expect(await pending()).toEqual({});
    expect(await bed.admin.xlen(keys.stream)).toBe(0);
  });

  itAsUsersSendIt('works on a server that is full', async () => {
    const [retried, buried] = [await pendingTask(ME), await pendingTask(ME)];
    await bed.admin.config('SET', 'maxmemory', '1');
    try {
      await expect(bed.admin.xadd(keys.stream, '*', 'payload', '1')).rejects.toThrow('OOM');
      expect(await settle(retried)).toBe('retried');
      expect(await settle(buried, { reason: 'max-attempts' })).toBe('dead');
    } finally {
      await bed.admin.config('SET', 'maxmemory', '0');
    }
    expect([await bed.admin.xlen(keys.stream), await bed.admin.xlen(keys.dead)]).toEqual([1, 1]);
  });

  it('keeps a task that it cannot bury', async () => {
    const id = await pendingTask(ME);
    await bed.admin.set(keys.dead, 'not a stream');
    await expect(settle(id, { reason: 'max-attempts' })).rejects.toThrow('WRONGTYPE');
    expect(await pending()).toEqual({ [id]: [ME, 1] });
    expect(await bed.admin.xlen(keys.stream)).toBe(1);
  });

  it('leaves the entry to a second group', async () => {
    await bed.admin.xgroup('CREATE', keys.stream, 'second', '0');
    const id = await pendingTask(ME);
    await settle(id, { reason: 'max-attempts' });
    expect((await entries(keys.stream)).map((entry) => entry['id'])).toEqual([id]);
  });

  it('keeps a retry in its group while others read the queue', async () => {
    await bed.admin.xgroup('CREATE', keys.stream, 'second', '0');
    const id = await pendingTask(ME);
    expect(await settled(id)).toEqual({ as: 'retried', apart: true });
    expect(await entries(RETRY.stream)).toMatchObject([
      { payload: '{"n":1}', retry_count: '1', meta: `{"id":"${id}"}` },
    ]);
    expect(await entries(keys.stream)).toMatchObject([{ id }]);
  });

  it('tells where a retry went, also one that comes later', async () => {
    const [alone, together] = [await pendingTask(ME), await pendingTask(ME)];
    expect(await settled(alone, { delayMs: 60_000 })).toEqual({ as: 'delayed', apart: false });
    await bed.admin.xgroup('CREATE', keys.stream, 'second', '0');
    expect(await settled(together, { delayMs: 60_000 })).toEqual({ as: 'delayed', apart: true });
    expect([await bed.admin.zcard(keys.delayed), await bed.admin.zcard(RETRY.delayed)]).toEqual([1, 1]);
  });

  it('leaves the task where it is when the key of the retries is of another type', async () => {
    await bed.admin.xgroup('CREATE', keys.stream, 'second', '0');
    await bed.admin.set(RETRY.stream, 'no stream');
    const id = await pendingTask(ME);
    await expect(settle(id)).rejects.toThrow('WRONGTYPE');
    expect(await pending()).toEqual({ [id]: [ME, 1] });
  });
});

describe.each(['', 'max-attempts'])(
  'an entry with more fields than Lua hands to one call, settled with reason %p',
  (reason) => {
    it('keeps its task, and says how many fields it lost', async () => {
      const extra = Array.from({ length: 5_000 }, (_, i) => [`field${i}`, 'x']).flat();
      const id = await pendingTask(ME, { fields: [...task('{"kept":1}'), ...extra] });
      await settleFailureScript.run(bed.link, {
        keys: { history: KEYS.dead, ...KEYS, failedTo: KEYS.dead },
        args: {
          run: '',
          group: GROUP,
          consumer: ME,
          id,
          deliveries: 1,
          attempts: '1',
          meta: '',
          isDead: reason === '' ? 0 : 1,
          reason,
          delayMs: 0,
          handle: '1',
          failure: 'e',
          stack: '',
          inboxes: INBOXES,
          publishes: '',
          side: keys.side,
          isJson: 1,
        },
      });
      const [[, fields]] = (await bed.admin.xrange(reason === '' ? keys.stream : keys.dead, '-', '+')) as [
        [string, string[]],
      ];
      expect(fields.slice(0, 2)).toEqual(['payload', '{"kept":1}']);
      expect(fields[fields.indexOf('fields_dropped') + 1]).toBe('5000');
      expect(await pending()).toEqual({});
    });
  },
);
