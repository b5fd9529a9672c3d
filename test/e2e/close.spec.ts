import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { Redis } from 'ioredis';
import { startRedis, type RedisServer } from 'nestjs-sluice/testing';
import { existing } from '../support/existing.js';
import { forkApp } from '../support/fork-app.js';
import { until } from '../support/until.js';

let redis: RedisServer;
let admin: Redis;
beforeAll(async () => {
  redis = await startRedis();
  admin = new Redis(redis.url);
});
afterAll(async () => {
  admin.disconnect();
  await redis.stop();
});

const sockets = async (): Promise<number> =>
  String(await admin.client('LIST'))
    .trim()
    .split('\n').length - 1;
const channels = async (): Promise<unknown> => admin.pubsub('CHANNELS');

it('leaves no socket, timer, subscription or key of its process behind, and the process exits by itself', async () => {
  const app = await forkApp('whole-app', { env: { REDIS_URL: redis.url } });
  try {
    await app.call('use');
    await until(
      async () => {
        const { ticks, tasks } = await app.call<{ ticks: number; tasks: number }>('seen');
        return ticks > 0 && tasks > 0;
      },
      { what: 'a tick and a task came' },
    );
    // Commands, subscriber, and one blocking read for its one group.
    expect(await sockets()).toBe(3);
    // The inbox, and what all processes hear of the cache.
    expect(await channels()).toHaveLength(2);

    expect(await app.call('close')).toEqual([]);
    expect(await channels()).toEqual([]);
    await until(async () => (await sockets()) === 0, { what: 'its sockets are gone' });
    expect(await admin.zcard('{whole:tasks}:~alive')).toBe(0);
    expect(await admin.xinfo('CONSUMERS', 'whole:tasks', 'whole')).toEqual([]);
    expect(await existing(admin, 'whole:lock:a', 'whole:lock:tick')).toBe(0);
    await app.stop();
  } finally {
    await app.kill();
  }
});
