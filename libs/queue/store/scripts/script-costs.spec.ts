import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from '@jest/globals';
import { GROUP, QueueScriptBed, task } from '../../../../test/support/queue-script-bed.js';
import { QueueState, count } from '../../../../test/support/queue-state.js';
import { commitCosts } from '../../../../test/model/commit-costs.js';
import { joinCosts } from '../../../../test/model/join-costs.js';
import { orderCosts } from '../../../../test/model/order-costs.js';
import { limitCosts } from '../../../../test/model/limit-costs.js';
import { eventCosts } from '../../../../test/model/event-costs.js';
import { keyCosts } from '../../../../test/model/key-costs.js';
import { RATED_SCRIPTS } from '../../../../test/model/rate-costs.js';
import { operationCosts } from '../../../../test/model/operation-costs.js';
import { scheduleCosts } from '../../../../test/model/schedule-costs.js';
import { growthOf, scriptNames, isLinear, type Growth, type Prepare } from '../../../../test/support/script-costs.js';
import { Keyspace } from '../../../redis/index.js';
import { CONSUMER_PREFIX, RELEASED, consumerName, gateKeys, queueKeys, retryKeys } from '../queue.keys.js';
import { ackScript } from './ack.script.js';
import { backlogBytesScript } from './backlog-bytes.script.js';
import { countsScript } from './counts.script.js';
import { delayScript } from './delay.script.js';
import { dropGroupScript, groupsScript } from './groups.script.js';
import { janitorScript } from './janitor.script.js';
import { leaveScript } from './leave.script.js';
import { listDelayedScript } from './list-delayed.script.js';
import { listStreamScript } from './list-stream.script.js';
import { locateScript } from './locate.script.js';
import { lookScript } from './look.script.js';
import { pauseScript } from './pause.script.js';
import { promoteScript } from './promote.script.js';
import { rawRetryScript } from './raw-retry.script.js';
import { reapScript } from './reap.script.js';
import { reconcileScript } from './reconcile.script.js';
import { deleteLettersScript, purgeScript, redriveScript } from './redrive.script.js';
import { removeDelayedScript, removeWaitingScript } from './remove.script.js';
import { renewAllScript, renewalKeys } from './renew-all.script.js';
import { renewScript } from './renew.script.js';
import { returnTasksScript } from './return-tasks.script.js';
import { settleFailureScript } from './settle-failure.script.js';
import { trimDeadScript } from './trim-dead.script.js';
import { waitingScript } from './waiting.script.js';
import { workersScript } from './workers.script.js';

const ME = `${CONSUMER_PREFIX}me`;
const OTHER = `${CONSUMER_PREFIX}other`;
const LEASE_MS = 60_000;
const INBOXES = ':~inbox:0:';
const keys = queueKeys(new Keyspace(), 'tasks');
const own = retryKeys(new Keyspace(), 'tasks', GROUP);
const TOLD = { publishes: '', side: keys.side, inboxes: INBOXES, run: '', keep: 0, level: '-' };
const all = {
  ...{ ...keys, retry: own.stream, retryStream: own.stream, history: keys.dead },
  ...{ retryDelayed: own.delayed, retryBodies: own.bodies, retryIndex: own.index },
  ...gateKeys(new Keyspace(), keys, GROUP),
};
const bed = new QueueScriptBed(keys.stream);
const state = new QueueState(bed, keys);
const { waiting, deadLetters } = state;

/** In the arguments of many scripts. */
const member = { group: GROUP, consumer: ME };
const view = { group: GROUP, released: RELEASED };

const pending = (n: number, consumer = ME): Promise<string[]> => state.pending(n, consumer);

async function delayed(n: number): Promise<void> {
  const rest = count(n).flatMap((i) => [`task-${i}`, '1', '']);
  const args = { delayMs: 0, runAtMs: -1, inboxes: INBOXES, timestamp: '1700000000' };
  await delayScript.run(bed.link, { keys, args, rest });
}

/** `n` consumers with a lease, and `n` whose lease is over. */
async function consumers(n: number): Promise<void> {
  await state.group();
  await state.consumers(n, consumerName('living-'), LEASE_MS);
  await state.consumers(n, consumerName('dead-'), -1);
}

async function reap(): Promise<() => Promise<unknown>> {
  const now = await bed.serverMs();
  await bed.admin.zadd(keys.alive, now + LEASE_MS, ME);
  const lease = { leaseMs: LEASE_MS, sinceMs: now - LEASE_MS, endsMs: now + LEASE_MS / 2 };
  const limits = { capacity: 10_000, maxDeliveries: 5, alone: 0, foreignIdleMs: 0 };
  const args = { ...member, ...lease, ...limits, ...TOLD, released: RELEASED, prefix: CONSUMER_PREFIX };
  return () => reapScript.run(bed.link, { keys: { ...all, failedTo: keys.dead }, args });
}

const settle =
  (id: string, isDead: number): (() => Promise<unknown>) =>
  () =>
    settleFailureScript.run(bed.link, {
      keys: { ...all, failedTo: keys.dead },
      args: {
        ...{ ...member, id, deliveries: 1, attempts: '1', meta: '', isDead, reason: 'max-attempts' },
        ...{ delayMs: 1_000, handle: 't', failure: 'e', stack: '', isJson: 1, ...TOLD, publishes: 'tasks' },
      },
    });

const list = (state: string): (() => Promise<unknown>) => {
  const args = { ...view, state, after: '', count: 10_000 };
  return () => listStreamScript.run(bed.link, { keys, args });
};

const looked = new Set<string>();

/** The commands of a script against the number of something. */
function grows(name: string, of: string, growth: Growth, prepare: Prepare): void {
  looked.add(name);
  it(`${name} is ${growth} in the number of ${of}`, async () => {
    expect(await growthOf(bed.admin, 20, prepare)).toBe(growth);
  });
}

grows('queue:ack', 'tasks that it settles', 'linear', async (n) => {
  const ids = await pending(n);
  const rest = [...ids, ...ids.flatMap((id, i) => [id, `task-${i}`])];
  return () => ackScript.run(bed.link, { keys, args: { group: GROUP, count: n }, rest });
});

grows('queue:backlog-bytes', 'tasks in the stream', 'bounded', async (n) => {
  await waiting(n);
  return () => backlogBytesScript.run(bed.link, { keys: {}, restKeys: [keys.stream], args: {} });
});

grows('queue:counts', 'tasks that wait, and as many with workers', 'bounded', async (n) => {
  await waiting(2 * n);
  await bed.admin.xreadgroup('GROUP', GROUP, ME, 'COUNT', n, 'STREAMS', keys.stream, '>');
  await bed.admin.xgroup('CREATE', keys.stream, 'second', '0');
  return () => countsScript.run(bed.link, { keys: all, args: view });
});

grows('queue:delay', 'tasks that it adds', 'linear', async (n) => {
  await state.group();
  return () => delayed(n);
});

grows('queue:groups', 'consumers', 'linear', async (n) => {
  await consumers(n);
  return () => groupsScript.run(bed.link, { keys, args: {} });
});

grows('queue:drop-group', 'tasks of a group without living consumers', 'bounded', async (n) => {
  await pending(n);
  return () => dropGroupScript.run(bed.link, { keys: all, args: { group: GROUP } });
});

grows('queue:janitor', 'settled tasks before one that is pending', 'bounded', async (n) => {
  const ids = await pending(n);
  await bed.admin.xack(keys.stream, GROUP, ...ids.slice(0, -1));
  const args = { cursor: '', slice: 1_000 };
  return () => janitorScript.run(bed.link, { keys: all, args });
});

grows('queue:janitor', 'settled tasks behind one that is pending', 'linear', async (n) => {
  const ids = await pending(n + 1);
  await bed.admin.xack(keys.stream, GROUP, ...ids.slice(1));
  const args = { cursor: '', slice: 1_000 };
  return () => janitorScript.run(bed.link, { keys: all, args });
});

grows('queue:leave', 'tasks of others', 'bounded', async (n) => {
  await pending(n, OTHER);
  return () => leaveScript.run(bed.link, { keys, args: member });
});

grows('queue:list-delayed', 'tasks that it shows', 'linear', async (n) => {
  await delayed(n);
  return () => listDelayedScript.run(bed.link, { keys, args: { afterMs: -1, after: '', count: 10_000 } });
});

grows('queue:list-stream', 'tasks with workers that it shows', 'linear', async (n) => {
  await pending(n);
  return list('running');
});

grows('queue:list-stream', 'tasks that wait that it shows', 'bounded', async (n) => {
  await waiting(n);
  return list('waiting');
});

grows('queue:locate', 'tasks in each place', 'bounded', async (n) => {
  await pending(n);
  await deadLetters(n);
  await state.entries(n, own.stream, own.index);
  const args = { id: 'absent', ...view };
  return () => locateScript.run(bed.link, { keys: all, args });
});

grows('queue:pause', 'living consumers', 'linear', async (n) => {
  await consumers(n);
  const args = { on: 1, inboxes: INBOXES, replyTo: 'inbox', token: 't' };
  return () => pauseScript.run(bed.link, { keys, args });
});

grows('queue:promote', 'tasks that are due', 'linear', async (n) => {
  await delayed(n);
  return () => promoteScript.run(bed.link, { keys, args: { limit: 10_000, unworked: 0, side: keys.side } });
});

grows('queue:raw-retry', 'tasks in the stream', 'bounded', async (n) => {
  const [id] = await pending(n);
  const streams = { stream: keys.stream, retryStream: keys.stream, deadLetterStream: keys.dead };
  const args = { id: id!, payload: '1', retryCount: 0, maxRetries: 3, group: GROUP };
  return () => rawRetryScript.run(bed.link, { keys: streams, args });
});

grows('queue:reap', 'tasks of a dead consumer', 'linear', async (n) => {
  await pending(n, OTHER);
  return reap();
});

grows('queue:reap', 'consumers', 'linear', async (n) => {
  await consumers(n);
  return reap();
});

grows('queue:reconcile', 'tasks of which the caller knows half', 'linear', async (n) => {
  const ids = await pending(2 * n);
  const args = { ...member, capacity: 10_000, minIdleMs: 0 };
  return () => reconcileScript.run(bed.link, { keys, args, rest: ids.slice(n) });
});

grows('queue:redrive', 'dead letters that it brings back', 'linear', async (n) => {
  await state.group();
  const ids = await deadLetters(n);
  const rest = ids.flatMap((id, i) => [id, `task-${i}`, '']);
  return () => redriveScript.run(bed.link, { keys: all, args: { group: '' }, rest });
});

grows('queue:purge', 'dead letters', 'bounded', async (n) => {
  await deadLetters(n);
  return () => purgeScript.run(bed.link, { keys, args: {} });
});

grows('queue:delete-letters', 'dead letters that it deletes', 'linear', async (n) => {
  const ids = await deadLetters(n);
  return () => deleteLettersScript.run(bed.link, { keys, args: {}, rest: ids.flatMap((id, i) => [id, `task-${i}`]) });
});

grows('queue:remove-waiting', 'tasks in the stream', 'bounded', async (n) => {
  const ids = await waiting(n);
  return () =>
    removeWaitingScript.run(bed.link, {
      keys,
      args: { released: RELEASED, id: ids.at(-1)!, task: `task-${n - 1}`, side: keys.side },
    });
});

grows('queue:remove-delayed', 'delayed tasks', 'bounded', async (n) => {
  await delayed(n);
  return () => removeDelayedScript.run(bed.link, { keys, args: { handle: 'task-0', side: keys.side } });
});

grows('queue:look', 'features', 'bounded', async (n) => {
  await bed.admin.hset(keys.uses, Object.fromEntries(count(n).map((i) => [`feature-${i}`, '9.0.0'])));
  return () => lookScript.run(bed.link, { keys, args: {} });
});

grows('queue:renew', 'consumers', 'bounded', async (n) => {
  await consumers(n);
  return () => renewScript.run(bed.link, { keys, args: { consumer: ME, leaseMs: LEASE_MS } });
});

const renewAll = async (queues: number, looks: number): Promise<() => Promise<unknown>> => {
  // One call names queues of one slot only: `{queue}-0`, `{queue}-1`, …
  const of = count(queues).map((i) => queueKeys(new Keyspace(), `{queue}-${i}`));
  for (const { stream } of of) await bed.admin.xgroup('CREATE', stream, GROUP, '0', 'MKSTREAM');
  // These keys are not there.
  const renewed = of.map((k) => ({ keys: k, scheduleDueKey: k.dead, retries: { stream: k.bodies, delayed: k.index } }));
  const restKeys = renewalKeys(renewed, { looks, noted: true });
  // Each call looks anew.
  const args = { consumer: ME, leaseMs: LEASE_MS, looks, sweepMs: 0, notes: 1 };
  const rest = looks > 0 ? of.flatMap(() => [GROUP, 1, 0, -1, -1]) : [];
  return () => renewAllScript.run(bed.link, { keys: {}, restKeys, args, rest });
};
grows('queue:renew-all', 'queues', 'linear', (n) => renewAll(n, 0));
grows('queue:renew-all', 'queues that it looks at', 'linear', (n) => renewAll(n, 2));

grows('queue:return-tasks', 'tasks that it returns', 'linear', async (n) => {
  await pending(n);
  const args = { ...member, released: RELEASED, inboxes: INBOXES, surplus: 0 };
  return () => returnTasksScript.run(bed.link, { keys, args });
});

grows('queue:settle-failure', 'tasks of which one is delayed', 'bounded', async (n) => {
  await delayed(n);
  const [id] = await pending(n);
  return settle(id!, 0);
});

grows('queue:settle-failure', 'tasks of which one becomes a dead letter', 'bounded', async (n) => {
  await deadLetters(n);
  const [id] = await pending(n);
  return settle(id!, 1);
});

grows('queue:trim-dead', 'dead letters', 'bounded', async (n) => {
  await deadLetters(n);
  return () => trimDeadScript.run(bed.link, { keys, args: { keep: 1, keepMs: -1 } });
});

grows('queue:waiting', 'streams', 'linear', (n) => {
  const restKeys = count(n).map((i) => `{queue}-${i}`);
  return Promise.resolve(() => waitingScript.run(bed.link, { keys: {}, restKeys, args: { group: GROUP } }));
});

grows('queue:workers', 'consumers', 'linear', async (n) => {
  await consumers(n);
  return () => workersScript.run(bed.link, { keys, args: {} });
});

for (const costs of [scheduleCosts, keyCosts, joinCosts, operationCosts, eventCosts, commitCosts])
  for (const row of costs(bed)) grows(...row);
for (const costs of [limitCosts, orderCosts]) for (const row of costs(bed, bed)) grows(...row);

it('all scripts were looked at', () => {
  expect([...looked, ...RATED_SCRIPTS].sort()).toEqual(scriptNames(dirname(fileURLToPath(import.meta.url))));
});

describe('what a script does without commands is linear:', () => {
  const fields = (n: number): string[] => count(n).flatMap((i) => [`name ${i}`, `value ${i}`]);

  it('promote reads the frame of a task with many fields', async () => {
    const prepare: Prepare = async (n) => {
      await bed.admin.zadd(keys.delayed, 1, 'task');
      const values = ['1', '1700000000', '0', '', ...fields(n)];
      await bed.admin.hset(keys.bodies, 'task', values.map((value) => `${value.length}:${value}`).join(''));
      return () => promoteScript.run(bed.link, { keys, args: { limit: 1, unworked: 0, side: keys.side } });
    };
    expect(await isLinear(bed.admin, 800, prepare)).toBe(true);
  });

  it('settle-failure makes that frame', async () => {
    const prepare: Prepare = async (n) => {
      await state.group();
      return settle(await bed.pendingTask(ME, { fields: [...task(), ...fields(n)] }), 0);
    };
    expect(await isLinear(bed.admin, 800, prepare)).toBe(true);
  });

  it('reconcile compares what is pending with what the caller knows', async () => {
    const prepare: Prepare = async (n) => {
      const ids = await pending(n);
      const args = { ...member, capacity: 10_000, minIdleMs: 0 };
      return () => reconcileScript.run(bed.link, { keys, args, rest: ids });
    };
    expect(await isLinear(bed.admin, 500, prepare)).toBe(true);
  });
});
