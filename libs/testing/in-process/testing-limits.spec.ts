import { expect, it } from '@jest/globals';
import { Injectable } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { TaskHandler, type Task } from '../../queue/index.js';
import { SluiceTestingModule, TestingQueue } from '../index.js';

it('tasks of a handler with limits of the fleet all run, one after the other', async () => {
  const ran: number[] = [];
  @Injectable()
  class Handlers {
    @TaskHandler('mails', { concurrency: { process: 2, fleet: 1 }, rateLimit: { limit: 1, perMs: 3_600_000 } })
    send(task: Task<number>): void {
      ran.push(task.payload);
    }
  }
  const app = await Test.createTestingModule({
    imports: [SluiceTestingModule.forRoot()],
    providers: [Handlers],
  }).compile();
  await app.init();
  const queue = app.get(TestingQueue);
  await queue.publishMany('mails', [1, 2, 3]);
  expect(await queue.drain()).toMatchObject({ completed: 3 });
  expect(ran).toEqual([1, 2, 3]);
  await app.close();
});

it('half a rate fails the boot, as without a test', async () => {
  @Injectable()
  class Handlers {
    @TaskHandler('mails', { rateLimit: { limit: 1 } })
    send(): number {
      return 1;
    }
  }
  const app = await Test.createTestingModule({
    imports: [SluiceTestingModule.forRoot()],
    providers: [Handlers],
  }).compile();
  await expect(app.init()).rejects.toMatchObject({ code: 'SLUICE_BAD_OPTION' });
  await app.close();
});
