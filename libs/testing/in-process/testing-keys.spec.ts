import { afterEach, expect, it } from '@jest/globals';
import { Test, type TestingModule } from '@nestjs/testing';
import { handlerProvider } from '../../../test/support/queue-app.js';
import { RetryTask, type UniquePublish } from '../../queue/index.js';
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

it("runs what mode 'follow-up' published once, when the active task has ended", async () => {
  const ran: unknown[] = [];
  const outcomes: unknown[] = [];
  app = await Test.createTestingModule({
    imports: [SluiceTestingModule.forRoot()],
    providers: [
      handlerProvider({
        tasks: async ({ payload, attempt }) => {
          ran.push([payload, attempt]);
          if (payload !== 1) return;
          if (attempt === 1) for (const next of [2, 3]) outcomes.push(await followUp(next));
          expect(await queue.counts('tasks')).toMatchObject({ waiting: 0, delayed: 1 });
          if (attempt === 1) throw new RetryTask();
        },
      }),
    ],
  }).compile();
  await app.init();
  const queue = app.get(TestingQueue);
  const followUp = (payload: number): Promise<UniquePublish> =>
    queue.publishUnique('tasks', payload, { key: 'k', mode: 'follow-up' });
  const first = await followUp(0);
  expect(await followUp(1)).toEqual({ id: first.id, outcome: 'replaced' });
  expect(await queue.drain()).toEqual({ completed: 2, dead: 0 });
  expect(ran).toEqual([
    [1, 1],
    [1, 2],
    [3, 1],
  ]);
  expect(outcomes).toMatchObject([{ outcome: 'follows' }, { outcome: 'follows' }]);
  expect(await followUp(4)).toMatchObject({ outcome: 'published' });
});

it('follows the active task again after what followed it was removed', async () => {
  const ran: unknown[] = [];
  app = await Test.createTestingModule({
    imports: [SluiceTestingModule.forRoot()],
    providers: [
      handlerProvider({
        tasks: async ({ payload }) => {
          ran.push(payload);
          if (payload !== 1) return;
          const { id } = await followUp(2);
          expect(await queue.remove('tasks', id)).toBe(true);
          expect(await followUp(3)).toMatchObject({ outcome: 'follows' });
        },
      }),
    ],
  }).compile();
  await app.init();
  const queue = app.get(TestingQueue);
  const followUp = (payload: number): Promise<UniquePublish> =>
    queue.publishUnique('tasks', payload, { key: 'k', mode: 'follow-up' });
  await followUp(1);
  await queue.drain();
  expect(ran).toEqual([1, 3]);
});
