import { Injectable } from '@nestjs/common';
import { Test, type TestingModule } from '@nestjs/testing';
import { afterEach, describe, expect, it } from '@jest/globals';
import { TaskHandler } from '../../queue/index.js';
import { SluiceTestingModule, TestingQueue } from '../index.js';

@Injectable()
class Orders {
  ran = 0;

  @TaskHandler('orders')
  handle(): void {
    this.ran++;
  }
}

describe('drain', () => {
  let app: TestingModule;
  afterEach(() => app.close());
  const compile = async (): Promise<TestingQueue> => {
    app = await Test.createTestingModule({ imports: [SluiceTestingModule.forRoot()], providers: [Orders] }).compile();
    return app.get(TestingQueue);
  };

  it('rejects in an app that is not initialised, and says what to do', async () => {
    const queue = await compile();
    await queue.publish('orders', 1);
    await expect(queue.drain()).rejects.toMatchObject({ code: 'SLUICE_APP_NOT_INITIALISED' });
    await app.init();
    expect(await queue.drain()).toEqual({ completed: 1, dead: 0 });
  });

  it('rejects, once all others have run, when tasks wait that nothing handles', async () => {
    const queue = await compile();
    await app.init();
    await queue.publish('ordrs', 1);
    await queue.publish('orders', 2);
    const drained = queue.drain();
    await expect(drained).rejects.toMatchObject({ code: 'SLUICE_QUEUE_NO_HANDLER' });
    await expect(drained).rejects.toThrow(/'ordrs'.*'orders'/);
    expect(app.get(Orders).ran).toBe(1);
  });

  it('leaves delayed and paused tasks in peace', async () => {
    const queue = await compile();
    await app.init();
    await queue.publish('later', 1, { delayMs: 1_000 });
    await queue.publish('paused', 2);
    await queue.pause('paused');
    expect(await queue.drain()).toEqual({ completed: 0, dead: 0 });
  });
});
