/** Compile-only: what the types of histories accept and refuse. */
import { defineQueue, payload, type HistoryPage, type QueueService } from '../../libs/queue/index.js';
import type { TestingQueue } from '../../libs/testing/index.js';
import { z } from 'zod';

const Orders = defineQueue<{ readonly id: string }>('orders', { history: { completed: 10 } }).returning<number>();
const Mails = defineQueue('mails', { schema: z.object({ to: z.string() }), history: { completed: 1, failed: 2 } });
const Files = defineQueue('files', { tasks: { import: payload<string>() }, history: { failed: 5 } });

export async function read(queue: QueueService, testing: TestingQueue): Promise<HistoryPage[]> {
  const { tasks, next } = await queue.history(Orders, { state: 'failed', limit: 5 });
  const [first] = tasks;
  first?.payload?.id.length.toFixed();
  first?.finishedAt.getTime().toFixed(first.startedAt?.getTime());
  // @ts-expect-error a large payload is not there
  first?.payload.id.length.toFixed();
  // @ts-expect-error the result of any release may be there
  const result: number | undefined = first?.result;
  (await queue.history(Mails)).tasks[0]?.payload?.to.length.toFixed();
  (await testing.history(Files.tasks.import)).tasks[0]?.payload?.length.toFixed();
  // @ts-expect-error these are no records
  await queue.history(Orders, { state: 'waiting' });
  // @ts-expect-error records are not counted by time
  defineQueue('orders', { history: { keepMs: 5 } });
  result?.toFixed();
  return [await queue.history(Files), await queue.history('bare', next === undefined ? {} : { after: next })];
}
