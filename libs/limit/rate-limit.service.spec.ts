import { afterAll, beforeAll } from '@jest/globals';
import { Test } from '@nestjs/testing';
import { describeRateLimits } from '../../test/support/describe-rate-limits.js';
import { until } from '../../test/support/until.js';
import { SluiceRedisModule } from '../redis/index.js';
import { startRedis, type RedisServer } from '../testing/index.js';
import { RateLimitService, SluiceLimitModule } from './index.js';

let redis: RedisServer;
beforeAll(async () => {
  redis = await startRedis();
});
afterAll(() => redis.stop());

describeRateLimits('on Redis', async (options) => {
  const imports = [SluiceRedisModule.forRoot({ redis: { url: redis.url } }), SluiceLimitModule.forRoot(options)];
  const app = await Test.createTestingModule({ imports }).compile();
  await app.init();
  return {
    limits: app.get(RateLimitService),
    pass: (ms) => {
      const untilMs = performance.now() + ms;
      return until(() => performance.now() > untilMs, { what: 'the time has passed', everyMs: 1 });
    },
    close: () => app.close(),
  };
});
