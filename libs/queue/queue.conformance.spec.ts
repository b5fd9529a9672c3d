import { afterAll, beforeAll, describe } from '@jest/globals';
import { Test } from '@nestjs/testing';
import { Redis } from 'ioredis';
import { setTimeout as pause } from 'node:timers/promises';
import { describeQueue } from '../../test/support/describe-queue.js';
import { handlerProvider, startQueueApp } from '../../test/support/queue-app.js';
import { until } from '../../test/support/until.js';
import { SluiceTestingModule, TestingClock, TestingQueue, startRedis, type RedisServer } from '../testing/index.js';

describe('on Redis', () => {
  let redis: RedisServer;
  beforeAll(async () => {
    redis = await startRedis();
  });
  afterAll(() => redis.stop());

  describeQueue('QueueService', async (run, options) => {
    const admin = new Redis(redis.url);
    await admin.flushall();
    const { app, queue } = await startQueueApp({ url: redis.url, handlers: { tasks: { run, options } } });
    return {
      queue,
      run: async () => {
        await until(
          async () => {
            // In this order: a task goes from the delayed ones to the waiting ones.
            const due = await admin.zcount('{tasks}:~delayed', 0, Date.now());
            const { waiting, running } = await queue.counts('tasks');
            return waiting + running + due === 0;
          },
          { what: 'nothing that is due is left' },
        );
      },
      pass: (ms) => pause(ms),
      close: async () => {
        await app.close();
        admin.disconnect();
      },
    };
  });
});

describe('in a test', () => {
  describeQueue('TestingQueue', async (run, options) => {
    const app = await Test.createTestingModule({
      imports: [SluiceTestingModule.forRoot()],
      providers: [handlerProvider({ tasks: { run, options } })],
    }).compile();
    await app.init();
    const queue = app.get(TestingQueue);
    return {
      queue,
      run: async () => {
        await queue.drain();
      },
      pass: (ms) => app.get(TestingClock).advance(ms),
      close: () => app.close(),
    };
  });
});
