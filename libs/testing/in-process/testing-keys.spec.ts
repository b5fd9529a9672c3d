import { afterEach, expect, it } from '@jest/globals';
import { Test, type TestingModule } from '@nestjs/testing';
import { handlerProvider } from '../../../test/support/queue-app.js';
import { SluiceTestingModule, TestingClock, TestingQueue } from '../index.js';

let app: TestingModule | undefined;
afterEach(() => app?.close());

it("replaces a task under a key in a test by the rules of mode 'replace'", async () => {
  const ran: unknown[] = [];
  app = await Test.createTestingModule({
    imports: [SluiceTestingModule.forRoot()],
    providers: [handlerProvider({ tasks: ({ payload, attempt }) => void ran.push([payload, attempt]) })],
  }).compile();
  await app.init();
  const queue = app.get(TestingQueue);
  const replace = (payload: number, options: object = {}): Promise<unknown> =>
    queue.publishUnique('tasks', payload, { key: 'k', mode: 'replace', ...options });
  const { id } = await queue.publishUnique('tasks', 1, { key: 'k', mode: 'replace' });
  await queue.publish('tasks', 'other');
  expect(await replace(2)).toEqual({ id, outcome: 'replaced' });
  expect(await queue.drain()).toEqual({ completed: 2, dead: 0 });
  expect(ran).toEqual([
    ['other', 1],
    [2, 1],
  ]);
  expect(await replace(3, { delayMs: 60_000 })).toMatchObject({ outcome: 'published' });
  expect(await replace(4)).toMatchObject({ outcome: 'replaced' });
  await queue.drain();
  expect(ran).toHaveLength(2);
  await app.get(TestingClock).advance(60_000);
  await queue.drain();
  expect(ran[2]).toEqual([4, 1]);
});
