import { afterAll, beforeAll } from '@jest/globals';
import type { INestApplication } from '@nestjs/common';
import { describeDecoratorMatrix } from '../../../test/support/decorator-matrix.js';
import { SluiceRedisModule } from '../../redis/index.js';
import { startRedis, type RedisServer } from '../../testing/index.js';
import { LockService, SluiceLockModule, WithLock } from '../index.js';

let redis: RedisServer;
beforeAll(async () => {
  redis = await startRedis();
});
afterAll(() => redis.stop());

const counts = new WeakMap<INestApplication, { calls: number }>();

/** How many bodies the app's service has run under a lock since the first question. */
function callsTaken(app: INestApplication): number {
  let count = counts.get(app);
  if (count === undefined) {
    const counting = { calls: 0 };
    counts.set(app, (count = counting));
    const service = app.get(LockService);
    const run = service.run.bind(service);
    service.run = (lock, body, site) => {
      counting.calls++;
      return run(lock, body, site);
    };
  }
  return count.calls;
}

describeDecoratorMatrix({
  name: '@WithLock',
  decorate: (key) => WithLock(`matrix:${key}`),
  imports: () => [SluiceRedisModule.forRoot({ redis: { url: redis.url } }), SluiceLockModule.forRoot({})],
  callsTaken,
});
