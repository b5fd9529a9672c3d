import { describe, expect, it } from '@jest/globals';
import { GROUP, QueueScriptBed, task } from '../../../../test/support/queue-script-bed.js';
import { itAsDefaultUser, withoutRight } from '../../../../test/support/refused-commands.js';
import { Keyspace } from '../../../redis/index.js';
import { CONSUMER_PREFIX, RELEASED, historyKeys, queueKeys, retryKeys } from '../queue.keys.js';
import { ackRecordedScript } from './ack-recorded.script.js';
import { commitScript } from './commit.script.js';
import { completeScript } from './complete.script.js';
import { reapScript } from './reap.script.js';
import { settleFailureScript } from './settle-failure.script.js';

const ME = `${CONSUMER_PREFIX}me`;
const OTHER = `${CONSUMER_PREFIX}other`;
const INBOXES = ':~inbox:0:';
const LEASE_MS = 60_000;
const keys = queueKeys(new Keyspace(), 'tasks');
const own = retryKeys(new Keyspace(), 'tasks', GROUP);
const history = historyKeys(new Keyspace(), 'tasks');
const bed = new QueueScriptBed(keys.stream);
const { pendingTask, pending, entries } = bed;

const runText = ({ keep = 10, how = 'completed', attempts = 1, said = '7' } = {}): string =>
  `${keep} high ${attempts} 1 12 10 ${how} ${ME}\n${said}`;

const ack = (ids: readonly string[], run = runText(), group = GROUP): Promise<number> =>
  ackRecordedScript.run(bed.link, {
    keys: { stream: keys.stream, index: keys.index, history: history.completed },
    args: { group, side: keys.side },
    rest: ids.flatMap((id) => [id, id, '', run]),
  });
const complete = (id: string, run = runText()): Promise<string> =>
  completeScript.run(bed.link, {
    keys: { stream: keys.stream, index: keys.index, result: keys.dead, waiters: keys.dead, history: history.completed },
    args: {
      ...{ group: GROUP, id, task: id, meta: '', side: keys.side, inboxes: INBOXES, kind: 'returned', text: '7', run },
    },
  });
const commit = async (id: string, { run = runText(), consumer = ME } = {}): Promise<string> => {
  const { how } = await commitScript.run(bed.link, {
    keys: { ...keys, history: history.completed },
    args: {
      ...{ group: GROUP, consumer, id, task: id, deliveries: 1, side: keys.side, join: '', inboxes: INBOXES },
      ...{ timestamp: '1', meta: '', outcome: '', text: '', run, writes: 0 },
    },
  });
  return how;
};
const settle = async (
  id: string,
  { isDead = 1, consumer = ME, run = runText({ how: 'failed', said: '' }) } = {},
): Promise<string> => {
  const { as } = await settleFailureScript.run(bed.link, {
    keys: {
      ...{ ...keys, failedTo: keys.dead, retry: own.stream, retryDelayed: own.delayed },
      ...{ retryBodies: own.bodies, retryIndex: own.index, history: history.failed },
    },
    args: {
      ...{ group: GROUP, consumer, id, deliveries: 1, attempts: '3', meta: `{"id":"${id}"}`, isDead, handle: id, run },
      ...{ reason: isDead ? 'max-attempts' : '', delayMs: 0, failure: 'Error: no', stack: '', inboxes: INBOXES },
      ...{ publishes: '', isJson: 1, side: keys.side },
    },
  });
  return as;
};
const reap = async (keep: number): Promise<string[]> => {
  const now = await bed.serverMs();
  await bed.admin.zadd(keys.alive, now + LEASE_MS, ME);
  const { deadLetters } = await reapScript.run(bed.link, {
    keys: { ...keys, failedTo: keys.dead, history: history.failed },
    args: {
      ...{ group: GROUP, consumer: ME, leaseMs: LEASE_MS, sinceMs: now - LEASE_MS, endsMs: now + LEASE_MS / 2 },
      ...{ capacity: 10, maxDeliveries: 3, alone: 0, foreignIdleMs: 0, released: RELEASED, prefix: CONSUMER_PREFIX },
      ...{ publishes: '', side: keys.side, inboxes: INBOXES, keep, level: '-' },
    },
  });
  return deadLetters;
};

describe('a record', () => {
  it('has what the entry and the run were, in the step that acknowledges', async () => {
    const id = await pendingTask(ME, { fields: ['x', 'y', ...task('{"n":1}', '2'), 'ordering_key', 'a b'] });
    expect(await ack([id], runText({ attempts: 3 }))).toBe(1);
    expect(await pending()).toEqual({});
    expect(await bed.admin.xlen(keys.stream)).toBe(0);
    expect(await entries(history.completed)).toEqual([
      {
        ...{ id, payload: '{"n":1}', payload_bytes: '7', timestamp: '1700000000', attempts: '3', deliveries: '1' },
        ...{ group: GROUP, worker: ME, ago_ms: '12', ran_ms: '10', ordering_key: 'a b', level: 'high' },
        ...{ how: 'completed', text: '7' },
      },
    ]);
  });

  it.each<[what: string, settles: (id: string) => Promise<unknown>, key: string, first: unknown, again: unknown]>([
    ['acknowledged', (id) => ack([id]), history.completed, 1, 0],
    ['acknowledged with its result', complete, history.completed, 'done', 'stale'],
    ['acknowledged with notes', (id) => commit(id), history.completed, 'done', 'stale'],
    ['settled as a dead letter', (id) => settle(id), history.failed, 'dead', 'stale'],
  ])('is written once if the step is repeated, and not for a task that is not pending: %s', async (...row) => {
    const [, settles, key, first, again] = row;
    const id = await pendingTask(ME);
    expect(await settles(id)).toBe(first);
    expect(await settles(id)).toBe(again);
    expect(await settles('1-1')).toBe(again);
    expect((await entries(key)).map((record) => record['id'])).toEqual([id]);
  });

  it.each<[what: string, settles: (id: string) => Promise<unknown>, outcome: unknown]>([
    ['with notes', (id) => commit(id, { consumer: OTHER }), 'stale'],
    ['as a dead letter', (id) => settle(id, { consumer: OTHER }), 'fenced'],
  ])('is not written by who has lost the task: %s', async (_, settles, outcome) => {
    const id = await pendingTask(ME);
    expect(await settles(id)).toBe(outcome);
    expect(await bed.admin.exists(history.completed, history.failed)).toBe(0);
    expect(Object.keys(await pending())).toEqual([id]);
  });

  it('is not written of a failure after which the task runs again', async () => {
    expect(await settle(await pendingTask(ME), { isDead: 0 })).toBe('retried');
    expect(await bed.admin.exists(history.completed, history.failed)).toBe(0);
  });

  it('has the reason and the error of a dead letter', async () => {
    await settle(await pendingTask(ME));
    expect(await entries(history.failed)).toMatchObject([
      { how: 'max-attempts', text: 'Error: no', attempts: '1', worker: ME, ran_ms: '10' },
    ]);
  });

  it('of a task that was delivered too often names the worker that died with it, and no times', async () => {
    const id = await pendingTask(OTHER, { deliveries: 3, fields: task('1', '2') });
    expect(await reap(5)).toEqual([id]);
    expect(await entries(history.failed)).toMatchObject([
      {
        id,
        how: 'max-deliveries',
        worker: OTHER,
        attempts: '2',
        deliveries: '3',
        ago_ms: '-1',
        ran_ms: '-1',
        level: '-',
      },
    ]);
    await bed.admin.del(history.failed);
    await pendingTask(OTHER, { deliveries: 3 });
    expect(await reap(0)).toHaveLength(1);
    expect(await bed.admin.exists(history.failed)).toBe(0);
  });

  it('has no payload if other software has deleted the entry, and takes its time from the id', async () => {
    const id = await pendingTask(ME, { fields: ['payload', '1'] });
    const other = await pendingTask(ME, { fields: ['payload', '2', 'timestamp', 'soon'] });
    await bed.admin.xdel(keys.stream, id);
    expect(await ack([id, other])).toBe(2);
    const timeIn = (of: string): string => String(Math.floor(parseInt(of, 10) / 1_000));
    expect(await entries(history.completed)).toMatchObject([
      { id, payload: '', payload_bytes: '-1', timestamp: timeIn(id) },
      { id: other, payload: '2', payload_bytes: '1', timestamp: timeIn(other) },
    ]);
  });

  it('takes the place of the oldest ones, also when fewer are kept than before', async () => {
    const ids: string[] = [];
    for (let n = 0; n < 250; n++) ids.push(await pendingTask(ME));
    await ack(ids.slice(0, 240), runText({ keep: 200 }));
    expect(await bed.admin.xlen(history.completed)).toBe(200);
    await ack(ids.slice(240), runText({ keep: 7 }));
    expect((await entries(history.completed)).map((record) => record['id'])).toEqual(ids.slice(-7));
  });

  it('is not written if the stream was deleted, and its entry stays for a second group', async () => {
    const id = await pendingTask(ME);
    await bed.admin.xgroup('CREATE', keys.stream, 'second', '0');
    await ack([id]);
    expect(await bed.admin.xlen(keys.stream)).toBe(1);
    await bed.admin.xreadgroup('GROUP', 'second', OTHER, 'STREAMS', keys.stream, '>');
    await ack([id], runText(), 'second');
    expect((await entries(history.completed)).map(({ group }) => group)).toEqual([GROUP, 'second']);
    await bed.admin.del(keys.stream);
    expect(await ack([id])).toBe(0);
    expect(await bed.admin.exists(keys.stream)).toBe(0);
  });

  it.each<[what: string, settles: (id: string) => Promise<unknown>, key: string]>([
    ['an acknowledgement', (id) => ack([id]), history.completed],
    ['an acknowledgement with its result', complete, history.completed],
    ['an acknowledgement with notes', (id) => commit(id), history.completed],
    ['a dead letter', (id) => settle(id), history.failed],
  ])('that cannot be written stops %s before its first write', async (_, settles, key) => {
    await bed.admin.set(key, 'x');
    const id = await pendingTask(ME);
    await expect(settles(id)).rejects.toThrow(`WRONGTYPE ${key} is no stream`);
    expect(Object.keys(await pending())).toEqual([id]);
    expect(await bed.admin.exists(keys.dead)).toBe(0);
    await bed.admin.del(key);
    await settles(id);
    expect(await entries(key)).toHaveLength(1);
  });

  it('that cannot be written leaves a task where it is that was delivered too often', async () => {
    await bed.admin.set(history.failed, 'x');
    const id = await pendingTask(OTHER, { deliveries: 3 });
    expect(await reap(5)).toEqual([]);
    expect(Object.keys(await pending())).toEqual([id]);
    await bed.admin.del(history.failed);
    expect(await reap(5)).toEqual([id]);
  });
});

itAsDefaultUser.each(['xack', 'xdel', 'xadd', 'xrange'])(
  'for a user without %s nothing is settled: the task keeps its place, and has a record when it has ended',
  async (command) => {
    for (const settled of [(id: string) => ack([id]), (id: string) => complete(id)]) {
      const id = await pendingTask(ME);
      await withoutRight(bed.admin, command, () => expect(settled(id)).rejects.toThrow(command.toUpperCase()));
      expect(Object.keys(await pending())).toEqual([id]);
      await settled(id);
      expect(await pending()).toEqual({});
      expect(await entries(keys.stream)).toEqual([]);
    }
    expect(await entries(history.completed)).toHaveLength(2);
  },
);
