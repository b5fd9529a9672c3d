import { describe, expect, it } from '@jest/globals';
import { itAsUsersSendIt, itOnPlainRedis } from '../../../test/support/cluster-mode.js';
import { gate } from '../../../test/support/gate.js';
import { QueueBed } from '../../../test/support/queue-bed.js';
import { until } from '../../../test/support/until.js';
import type { Task } from '../index.js';

const bed = new QueueBed();
const LEASE_MS = 300;

/** Two queues in one process; the first is the one that suffers. */
async function load(): Promise<{ seen: Record<string, Set<number>>; stop: () => Promise<void> }> {
  const seen: Record<string, Set<number>> = { sick: new Set(), well: new Set() };
  const handler =
    (queue: string) =>
    ({ payload }: Task<number>): void => {
      if (payload % 10 === 3) throw new Error('as asked');
      seen[queue]?.add(payload);
    };
  const options = { backoff: 1, maxAttempts: 2 };
  const { queue } = await bed.start({
    handlers: { sick: { run: handler('sick'), options }, well: { run: handler('well'), options } },
    queue: { leaseMs: LEASE_MS },
  });
  const stop = new AbortController();
  let n = 0;
  const publishing = (async (): Promise<void> => {
    while (!stop.signal.aborted) {
      const some = Array.from({ length: 20 }, () => n++);
      // Refused while the key is of another type.
      await queue.publishMany('sick', some).catch(() => {});
      await queue.publishMany('well', some);
      await new Promise((resolve) => setImmediate(resolve));
    }
  })();
  return {
    seen,
    stop: async () => {
      stop.abort();
      await publishing;
    },
  };
}

const empty = async (stream: string): Promise<boolean> =>
  (await bed.admin.xlen(stream)) === 0 && (await bed.admin.zcard(`{${stream}}:~delayed`)) === 0;

describe('under load, a queue heals by itself and the other one goes on', () => {
  it.each<[string, () => Promise<unknown>]>([
    ['FLUSHALL', () => bed.admin.flushall()],
    ['its group is destroyed', () => bed.admin.xgroup('DESTROY', 'sick', 'sluice')],
    ['its stream is deleted', () => bed.admin.del('sick')],
    [
      'its stream becomes something else, for a while',
      async () => {
        await bed.admin.set('sick', 'not a stream');
        await new Promise((resolve) => setTimeout(resolve, LEASE_MS));
        await bed.admin.del('sick');
      },
    ],
    ['its leases are deleted', () => bed.admin.del('{sick}:~alive')],
    [
      'its retries become something else, for a while',
      async () => {
        await bed.admin.del('{sick}:~delayed', '{sick}:~bodies');
        await bed.admin.set('{sick}:~delayed', 'no sorted set');
        await new Promise((resolve) => setTimeout(resolve, LEASE_MS));
        await bed.admin.del('{sick}:~delayed');
      },
    ],
  ])('after %s', async (_, happens) => {
    const { seen, stop } = await load();
    const both = async (): Promise<void> => {
      const [sick, well] = [seen['sick']!.size, seen['well']!.size];
      await until(() => seen['sick']!.size > sick + 50 && seen['well']!.size > well + 50, { what: 'both go on' });
    };
    try {
      await both();
      await happens();
      await both();
    } finally {
      await stop();
    }
    await until(async () => (await empty('sick')) && (await empty('well')), { what: 'all is settled' });
  });
});

describe('a queue that is busy, and so does not read', () => {
  it('heals after FLUSHALL as well', async () => {
    const { opened, open } = gate();
    const runs: number[] = [];
    const { queue } = await bed.start({
      handlers: {
        tasks: {
          run: async ({ payload }: Task<number>) => {
            runs.push(payload);
            if (payload === 1) await opened;
          },
          options: { concurrency: 1 },
        },
      },
      queue: { leaseMs: LEASE_MS },
    });
    await queue.publish('tasks', 1);
    await until(() => runs.length === 1, { what: 'it runs' });
    await bed.admin.flushall();
    await until(async () => (await bed.admin.zcard('{tasks}:~alive')) === 1, {
      what: 'it knows that its lease was lost',
    });
    open();
    await queue.publish('tasks', 2);
    await until(() => runs.length === 2, { what: 'the next one ran' });
    await bed.untilSettled();
  });
});

describe('a queue that is busy while its lease lapses', () => {
  it('heals at once if its group is gone as well, although it does not read', async () => {
    const { opened, open } = gate();
    const runs: number[] = [];
    const { queue } = await bed.start({
      handlers: {
        tasks: {
          run: async ({ payload }: Task<number>) => {
            runs.push(payload);
            if (payload === 1) await opened;
          },
          options: { concurrency: 1 },
        },
      },
      // A look would find it as well, minutes later.
      queue: { leaseMs: 600_000 },
    });
    await queue.publish('tasks', 1);
    await until(() => runs.length === 1, { what: 'it runs' });
    await bed.admin.multi().xgroup('DESTROY', 'tasks', 'sluice').del('{tasks}:~alive').exec();
    // Whoever subscribes again asks Redis whether messages were lost, and so renews its lease.
    await bed.admin.client('KILL', 'TYPE', 'PUBSUB');
    await until(async () => ((await bed.admin.xinfo('GROUPS', 'tasks')) as unknown[]).length === 1, {
      what: 'the group is there again',
    });
    open();
    await queue.publish('tasks', 2);
    await until(() => runs.includes(2), { what: 'the next one ran' });
    await bed.untilSettled();
  });
});

describe('a Redis that is full', () => {
  itAsUsersSendIt(
    'refuses what is published, and nothing that makes room: success, retries, delays, dead letters',
    async () => {
      const { opened, open } = gate();
      const runs: string[] = [];
      const { queue } = await bed.start({
        handlers: {
          tasks: {
            run: async ({ payload, attempt }: Task<string>) => {
              runs.push(`${payload} ${attempt}`);
              await opened;
              if (payload === 'dies' || (payload === 'recovers' && attempt === 1)) throw new Error('as asked');
            },
            options: { maxAttempts: 2, backoff: 20 },
          },
        },
        queue: { leaseMs: LEASE_MS },
      });
      await queue.publishMany('tasks', ['succeeds', 'recovers', 'dies']);
      const later = queue.publish('tasks', 'later', { delayMs: 1_000 });
      await later;
      await until(() => runs.length === 3, { what: 'they run' });
      await bed.admin.config('SET', 'maxmemory', '1');
      try {
        await expect(queue.publish('tasks', 'refused')).rejects.toThrow('OOM');
        open();
        await until(() => bed.untilSettled().then(() => runs.length === 6), { what: 'all ran' });
      } finally {
        await bed.admin.config('SET', 'maxmemory', '0');
      }
      expect(runs.sort()).toEqual(['dies 1', 'dies 2', 'later 1', 'recovers 1', 'recovers 2', 'succeeds 1']);
      expect(await bed.books.letters()).toMatchObject([{ payload: '"dies"', reason: 'max-attempts' }]);
    },
  );
});

describe('a Redis that is a read-only replica for a while, as in a failover', () => {
  itOnPlainRedis('refuses what is published, and what ran meanwhile is settled afterwards, once', async () => {
    const { opened, open } = gate();
    const runs: string[] = [];
    const { queue } = await bed.start({
      handlers: {
        tasks: {
          run: async ({ payload, attempt }: Task<string>) => {
            runs.push(`${payload} ${attempt}`);
            await opened;
            if (payload === 'fails' && attempt === 1) throw new Error('as asked');
          },
          options: { backoff: 0 },
        },
      },
      queue: { leaseMs: LEASE_MS },
    });
    await queue.publishMany('tasks', ['succeeds', 'fails']);
    await until(() => runs.length === 2, { what: 'both run' });
    // Of a master that is not there: it keeps its data.
    await bed.admin.replicaof('127.0.0.1', 1);
    try {
      // The connection may be made anew meanwhile, for the same reason: then it is refused in other words.
      const refusal = async (): Promise<string> =>
        queue.publish('tasks', 'refused').then(
          () => 'none',
          (error: unknown) => String(error),
        );
      await until(async () => /READONLY|none/.test(await refusal()), { what: 'it is refused as by a replica' });
      open();
      await until(async () => /errorstat_READONLY:count=(\d\d)/.test(await bed.admin.info('errorstats')), {
        what: 'all that was tried is refused, again and again',
      });
    } finally {
      await bed.admin.replicaof('NO', 'ONE');
    }
    await bed.untilSettled();
    expect(runs).toEqual(['succeeds 1', 'fails 1', 'fails 2']);
    await queue.publish('tasks', 'next');
    await until(() => runs.includes('next 1'), { what: 'it goes on' });
  });
});

describe('a Redis that may evict', () => {
  it('is told at boot, wherever tasks are published or handled', async () => {
    const warnings: string[] = [];
    await bed.admin.config('SET', 'maxmemory', '1gb');
    await bed.admin.config('SET', 'maxmemory-policy', 'allkeys-lru');
    try {
      const logged = (level: string, message: string): void => {
        if (level === 'warn') warnings.push(message);
      };
      await bed.start({ queue: { consumers: false }, logged });
    } finally {
      await bed.admin.config('SET', 'maxmemory-policy', 'noeviction');
      await bed.admin.config('SET', 'maxmemory', '0');
    }
    expect(warnings).toEqual([expect.stringMatching(/maxmemory-policy is allkeys-lru: .* may drop tasks\. /)]);
  });
});
