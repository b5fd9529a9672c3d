import { describe, expect, it } from '@jest/globals';
import { setImmediate } from 'node:timers/promises';
import { gate } from '../../../test/support/gate.js';
import { ManualClock } from '../../../test/support/manual-clock.js';
import { GROUP, QueueScriptBed, task } from '../../../test/support/queue-script-bed.js';
import { until } from '../../../test/support/until.js';
import { Keyspace } from '../../redis/index.js';
import { reconcile } from './loops/reconcile.js';
import type { Task } from '../index.js';
import { WorkerLease } from './worker-lease.js';
import { RetryUntilConfirmed } from './settling/retry-until-confirmed.js';
import { WorkerEvents } from '../events/worker-events.js';
import { RunRecords } from '../history/run-records.js';
import { CONSUMER_PREFIX, queueKeys, scheduleKeys } from '../store/queue.keys.js';
import { mergeHandlerOptions, type HandlerOptions } from '../handler.options.js';
import { resolveQueueOptions } from '../queue.options.js';
import { ConcurrencyWindow } from './concurrency-window.js';
import { EndedKeys } from './settling/ended-keys.js';
import { Worker } from './worker.js';
import type { WorkerListener } from './worker-listener.js';

const ME = `${CONSUMER_PREFIX}me`;
const OTHER = `${CONSUMER_PREFIX}other`;
const LEASE_MS = 5_000;
const keys = queueKeys(new Keyspace(), 'tasks');
const bed = new QueueScriptBed(keys.stream);

const silent = {
  sender: { isOn: false } as never,
  reporter: { ended: () => {}, settled: () => {} } as never,
};

interface Fed {
  worker: Worker;
  clock: ManualClock;
  lease: WorkerLease;
  /** What the worker reported. */
  reported: { creditGained: () => void; bufferedWhileHalted: number };
}

/** A worker that gets its tasks from the spec, and so exactly as many as it says. */
async function newWorker(run: (task: Task) => unknown, given: HandlerOptions = {}): Promise<Fed> {
  const clock = new ManualClock();
  const options = mergeHandlerOptions({ name: 'tasks' }, { backoff: 0, ...given }, resolveQueueOptions({}), GROUP);
  const lease = new WorkerLease({
    ...{
      link: bed.link,
      clock,
      alive: keys.alive,
      pausedKey: keys.paused,
      usesKey: keys.uses,
      consumer: ME,
      leaseMs: LEASE_MS,
    },
  });
  await lease.renew();
  const reported = { creditGained: () => {}, bufferedWhileHalted: 0 };
  const listener: WorkerListener<Worker> = {
    creditGained: () => {
      reported.creditGained();
    },
    bufferedWhileHalted: () => {
      reported.bufferedWhileHalted++;
    },
    tooLate: () => {},
    delayed: () => {},
    retriesUsed: () => {},
    cancelled: () => {},
    isolatedSettled: () => {},
  };
  const noting = { queue: 'tasks', keyspace: new Keyspace(), maxPayloadBytes: 1_000 };
  const worker = new Worker({
    ...{
      handler: {
        site: 'Spec.run',
        queue: 'tasks',
        place: 'tasks',
        names: ['tasks'],
        options,
        run,
        schedules: [],
        noting,
      },
      window: new ConcurrencyWindow(options.concurrency, clock),
    },
    ...{
      keys,
      scheduleDueKey: scheduleKeys(new Keyspace(), keys).due,
      retries: undefined,
      consumer: ME,
      lease,
      endedKeys: new EndedKeys({ link: bed.link, keys, inboxes: ':~inbox:0:' }),
      link: bed.link,
      inboxes: ':~inbox:0:',
      clock,
      onDelayed: () => {},
    },
    ...{
      retryUntilConfirmed: new RetryUntilConfirmed(clock, () => {}),
      log: { debug: () => {}, warn: () => {}, error: () => {} },
    },
    records: new RunRecords({ handler: { place: 'tasks' }, keyspace: new Keyspace(), consumer: ME, clock }),
    events: new WorkerEvents({ ...silent, clock }), // nobody listens, and no handler reports
    results: undefined as never, // of tasks whose publishers wait: none here
    listener,
  });
  worker.opened(true);
  return { worker, clock, lease, reported };
}

/** Delivers tasks to this process, as a read does. */
async function deliver(worker: Worker, ...payloads: string[]): Promise<string[]> {
  const ids: string[] = [];
  for (const payload of payloads) ids.push(await bed.pendingTask(ME, { fields: task(payload) }));
  worker.accept(ids.map((id, i) => ({ id, fields: task(payloads[i]), deliveries: 1 })));
  return ids;
}

describe('a prefetched task', () => {
  it('does not start once another process has it; the rest does', async () => {
    const { opened, open } = gate();
    const runs: unknown[] = [];
    const { worker } = await newWorker(
      async ({ payload }) => {
        runs.push(payload);
        await opened;
      },
      { concurrency: 1 },
    );
    const [, second] = await deliver(worker, '1', '2', '3');
    await bed.admin.xclaim(keys.stream, GROUP, OTHER, 0, second!);
    // As after a pause of the process, in which its lease ended.
    worker.doubt();
    await reconcile(worker, bed.link, ME, 0);
    open();
    await until(() => runs.length === 2, { what: 'the rest has begun' });
    await worker.finished();
    await worker.settled();
    expect(runs).toEqual([1, 3]);
    expect(await bed.pending()).toEqual({ [second!]: [OTHER, 2] });
  });

  it('does not start while more has begun than may be repeated, and is not confirmed', async () => {
    let runs = 0;
    const { worker } = await newWorker(
      async () => {
        runs++;
      },
      { concurrency: 1 },
    );
    const ids = [await bed.pendingTask(ME), await bed.pendingTask(ME), await bed.pendingTask(ME)];
    await bed.admin.client('PAUSE', 10_000, 'WRITE');
    worker.accept(ids.map((id) => ({ id, fields: task(), deliveries: 1 })));
    await setImmediate();
    expect(runs).toBe(1);
    await bed.admin.client('UNPAUSE');
    await until(() => runs === 3, { what: 'the others have run' });
    await until(async () => Object.keys(await bed.pending()).length === 0, { what: 'all are settled' });
  });

  it('is asked for before what finished is confirmed', async () => {
    const { worker, reported } = await newWorker(async () => {}, { concurrency: 1 });
    const id = await bed.pendingTask(ME);
    await bed.admin.client('PAUSE', 10_000, 'WRITE');
    const asked = new Promise<string[]>((resolve) => {
      reported.creditGained = () => {
        resolve(worker.heldIds);
      };
    });
    worker.accept([{ id, fields: task(), deliveries: 1 }]);
    expect(await asked).toEqual([id]);
    expect(worker.credit).toBeGreaterThan(0);
    await bed.admin.client('UNPAUSE');
    await worker.settled();
    expect(await bed.pending()).toEqual({});
  });

  it('does not start without a running lease, and does with the next one', async () => {
    const runs: unknown[] = [];
    const { worker, clock, lease } = await newWorker(({ payload }) => void runs.push(payload));
    clock.jump(LEASE_MS);
    await deliver(worker, '1');
    expect(runs).toEqual([]);
    await lease.renew();
    worker.pump();
    expect(runs).toEqual([1]);
    await worker.settled();
  });

  it('is returned when the queue was paused while it was offered to others', async () => {
    const { opened, open } = gate();
    const { worker, clock, lease, reported } = await newWorker(() => opened, { concurrency: 1 });
    await deliver(worker, '1', '2', '3');
    clock.jump(2_000);
    const surplus = worker.takeSurplus();
    expect(surplus).toHaveLength(2);
    await bed.admin.set(keys.paused, '1');
    await lease.renew();
    worker.surplusReturned(surplus, []);
    expect(reported.bufferedWhileHalted).toBe(1);
    open();
    await worker.finished();
  });
});

describe('an entry that this release cannot read', () => {
  it('is no dead letter while a newer release may have written it, and is one later', async () => {
    const { worker, clock, lease, reported } = await newWorker(() => {});
    const id = await bed.pendingTask(ME, { fields: ['body', '1'] });
    // As after a pause of the process: the entry came when its lease had ended.
    clock.jump(LEASE_MS);
    worker.accept([{ id, fields: ['body', '1'], deliveries: 1 }]);
    await bed.admin.hset(keys.uses, 'new', '9.0.0');
    await lease.renew();
    worker.pump();
    worker.accept([]);
    expect(reported.bufferedWhileHalted).toBe(1);
    expect(await bed.pending()).toEqual({ [id]: [ME, 1] });
    await bed.admin.del(keys.uses);
    await lease.renew();
    worker.pump();
    await until(async () => (await bed.entries(keys.dead)).length === 1, { what: 'it is a dead letter' });
    expect(await bed.pending()).toEqual({});
  });
});

describe('a task that two processes died with', () => {
  it('keeps the next of its kind waiting, but not for ever', async () => {
    const { opened, open } = gate();
    const { worker, clock } = await newWorker(() => opened);
    const id = await bed.pendingTask(ME, { deliveries: 3 });
    worker.accept([{ id, fields: task(), deliveries: 3 }]);
    expect(worker.holdsIsolated).toBe(true);
    clock.jump(12 * LEASE_MS);
    expect(worker.holdsIsolated).toBe(false);
    open();
    await worker.finished();
  });
});

describe('a task that was taken over and came back while it ran', () => {
  it('runs once, and is settled', async () => {
    const { opened, open } = gate();
    const runs: string[] = [];
    const { worker } = await newWorker(async ({ payload }) => {
      runs.push(String(payload));
      await opened;
      if (payload === 'fails') throw new Error('as asked');
    });
    const payloads = ['"fails"', '"succeeds"'];
    const ids = await deliver(worker, ...payloads);
    await bed.admin.xclaim(keys.stream, GROUP, OTHER, 0, ...ids);
    await bed.admin.xclaim(keys.stream, GROUP, ME, 0, ...ids);
    worker.accept(ids.map((id, i) => ({ id, fields: task(payloads[i]), deliveries: 3 })));
    open();
    await worker.finished();
    await worker.settled();
    expect(runs).toEqual(['fails', 'succeeds']);
    expect(await bed.pending()).toEqual({});
    expect(await bed.entries(keys.stream)).toMatchObject([{ payload: '"fails"', retry_count: '1' }]);
  });
});

describe('a handler', () => {
  it('may throw anything, also what cannot be looked at', async () => {
    const hostile = new Proxy(new Error(), {
      has: () => {
        throw new Error('not even that');
      },
    });
    const { worker } = await newWorker(() => {
      throw hostile;
    });
    const [id] = await deliver(worker, '1');
    await until(() => worker.heldIds.length === 0, { what: 'it is settled' });
    expect(await bed.entries(keys.stream)).toMatchObject([{ retry_count: '1', meta: JSON.stringify({ id }) }]);
  });
});
