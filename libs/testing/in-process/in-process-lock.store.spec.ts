import { afterEach, describe, expect, it, jest } from '@jest/globals';
import { Test } from '@nestjs/testing';
import { LockService } from '../../lock/index.js';
import { SluiceTestingModule } from '../sluice-testing.module.js';

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
