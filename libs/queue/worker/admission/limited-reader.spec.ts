import { afterEach, beforeEach, expect, it } from '@jest/globals';
import { ManualClock } from '../../../../test/support/manual-clock.js';
import { until } from '../../../../test/support/until.js';
import { Keyspace, RedisRefusedError } from '../../../redis/index.js';
import { RunRecords } from '../../history/run-records.js';
import type { Handler } from '../../handlers/handler.registry.js';
import { queueKeys } from '../../store/queue.keys.js';
import type { Taken } from '../../store/scripts/take.script.js';
import type { Worker } from '../worker.js';
import { FleetLimits } from './fleet-limits.js';
import { LimitedReader } from './limited-reader.js';

const NOTHING: Taken = {
  ...{ claimed: [], deadLetters: [], cancelled: [], more: false },
  ...{ takenOver: 0, lastId: '1-1', waits: false, afterMs: 0, isFull: false, dueMs: undefined },
};

/** Calls of the script that have no reply yet. */
let calls: { resolve: (taken: Taken) => void; reject: (error: unknown) => void }[];
/** How many calls were made. */
let sent: number;
let lost: number;
let clock: ManualClock;
let worker: Worker;
let reader: LimitedReader;
beforeEach(() => {
  [calls, sent, lost] = [[], 0, 0];
  clock = new ManualClock();
  const keyspace = new Keyspace();
  const options = { group: 'shop', fleet: 5, rateLimit: { limit: 5, perMs: 1_000 }, maxDeliveries: 5 };
  const handler = { queue: 'tasks', site: 'Spec.run', options } as unknown as Handler;
  worker = {
    ...{ handler, keys: queueKeys(keyspace, 'tasks'), limits: new FleetLimits(handler, keyspace, clock) },
    ...{ mayRead: true, credit: 5, holdsIsolated: false, window: { readMost: 10 } },
    records: new RunRecords({ handler: { place: 'tasks' }, keyspace, consumer: 'me', clock }),
    lease: { leaseMs: 5_000, unbroken: { sinceMs: 0, endsMs: 0 } },
    accept: () => {},
    lostGroup: () => lost++,
  } as unknown as Worker;
  const commands = {
    slots: { knowsSlots: false },
    send: () => {
      sent++;
      return new Promise((resolve, reject) => calls.push({ resolve, reject }));
    },
  };
  reader = new LimitedReader({
    ...{ group: 'shop', consumer: 'me', workers: [worker], readMost: 10, clock },
    connection: { commands, inbox: { prefix: ':~inbox:0:' } } as never,
    seats: { wanted: false, ask: () => {}, leave: (_: unknown, __: unknown, ended: Promise<void>) => ended } as never,
    maintenance: { run: () => Promise.resolve(3_600_000), found: () => {}, sweepNow: () => {} } as never,
    onCancelled: () => {},
    log: { warn: () => {}, error: () => {} },
  });
  reader.start();
});
afterEach(async () => {
  const stopped = reader.stop();
  for (const { resolve } of calls) resolve(NOTHING);
  await stopped;
});

const untilSent = (count: number): Promise<unknown> => until(() => sent === count, { what: `call ${count} is made` });
const answer = (over: Partial<Taken> = {}): void => {
  calls.shift()?.resolve({ ...NOTHING, ...over });
};
/** All that can happen without time has happened. */
const settled = (): Promise<void> => clock.pass(0).then(() => clock.pass(0));

it.each<[string, () => void, Partial<Taken>]>([
  [
    'of returned tasks',
    () => {
      reader.look('tasks');
    },
    {},
  ],
  [
    'by a renewal',
    () => {
      reader.found(worker, { sweep: true, reconcile: false, clean: false });
    },
    {},
  ],
  [
    'of a place that is free',
    () => {
      reader.creditGained(worker);
    },
    { waits: true, isFull: true },
  ],
])('a worker that is told %s while a call is under way looks again at once', async (_, tell, reply) => {
  await untilSent(1);
  tell();
  answer(reply);
  await untilSent(2);
});

it('takes more at once, as long as there are tasks and room', async () => {
  await untilSent(1);
  answer({ waits: true });
  await untilSent(2);
  answer();
  await settled();
  expect(sent).toBe(2);
});

it('rests until the rate has room, whatever ends meanwhile', async () => {
  await untilSent(1);
  answer({ waits: true, afterMs: 700 });
  await settled();
  reader.creditGained(worker);
  await clock.pass(699);
  expect(sent).toBe(1);
  await clock.pass(1);
  await untilSent(2);
});

it('looks twice a second while the fleet is full, and at once when a task of this process ends', async () => {
  await untilSent(1);
  answer({ waits: true, isFull: true });
  await settled();
  await clock.pass(499);
  expect(sent).toBe(1);
  await clock.pass(1);
  await untilSent(2);
  answer({ waits: true, isFull: true });
  await settled();
  reader.creditGained(worker);
  await untilSent(3);
});

it('takes nothing while the worker has no room, and is told when it has', async () => {
  await untilSent(1);
  Object.assign(worker, { mayRead: false });
  answer({ waits: true });
  await settled();
  expect(sent).toBe(1);
  Object.assign(worker, { mayRead: true });
  reader.creditGained(worker);
  await untilSent(2);
});

it('rests longer with each failure, and has the group looked for', async () => {
  await untilSent(1);
  calls.shift()?.reject(new RedisRefusedError('NOGROUP no such group', 'NOGROUP no such group'));
  await settled();
  expect([sent, lost]).toEqual([1, 1]);
  await clock.pass(100);
  await untilSent(2);
});
