import { Test } from '@nestjs/testing';
import { describeRateLimits } from '../../../test/support/describe-rate-limits.js';
import { RateLimitService } from '../../limit/index.js';
import { SluiceTestingModule, TestingClock } from '../index.js';

describeRateLimits('without Redis', async (limit) => {
  const app = await Test.createTestingModule({ imports: [SluiceTestingModule.forRoot({ limit })] }).compile();
  await app.init();
  return {
    limits: app.get(RateLimitService),
    pass: (ms) => app.get(TestingClock).advance(ms),
    close: () => app.close(),
  };
});
