import { afterEach, describe, expect, it, jest } from '@jest/globals';
import { Test } from '@nestjs/testing';
import { describeLockStore } from '../../../test/support/describe-lock-store.js';
import { LockService } from '../../lock/index.js';
import { Keyspace, systemClock } from '../../redis/index.js';
import { SluiceTestingModule } from '../sluice-testing.module.js';
import { InProcessLockStore } from './in-process-lock.store.js';

const processId = 'host:1:0-0123456789ab';

describeLockStore('in process', () =>
  Promise.resolve({ store: new InProcessLockStore(systemClock, processId), keyspace: new Keyspace(), processId }),
);

describe('under the fake timers of a test', () => {
  afterEach(() => {
    jest.useRealTimers();
  });

  it('hands a lock over all the same', async () => {
    jest.useFakeTimers();
    const { app, locks } = await testingApp();
    const first = await locks.acquire('x');
    const second = locks.acquire('x');
    await first.release();
    expect((await second).held).toBe(true);
    await app.close();
  });
});

async function testingApp() {
  const app = await Test.createTestingModule({ imports: [SluiceTestingModule.forRoot()] }).compile();
  await app.init();
  return { app, locks: app.get(LockService) };
}
