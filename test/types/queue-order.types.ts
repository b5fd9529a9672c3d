/** What the compiler accepts of ordered queues, and what not. */
import { defineQueue, payload, type QueueService } from '../../libs/queue/index.js';
import { z } from 'zod';

export async function ordered(queue: QueueService): Promise<unknown[]> {
  const Ledger = defineQueue<{ account: string }>('ledger', { orderingKey: ({ account }) => account });
  const Checked = defineQueue('checked', {
    schema: z.object({ at: z.string().transform(Number) }),
    // What is published has the key, and not what the handler gets.
    orderingKey: ({ at }) => at.slice(1),
    afterDeadLetter: 'stop',
  });
  const id: string = await queue.publish(Ledger, { account: 'a' }, { orderingKey: 'b', delayMs: 5 });
  await queue.publishMany(Ledger, [{ account: 'a' }], ({ account }) => ({ orderingKey: account }));
  const returning = Ledger.returning<number>();
  const result: number = await queue.publishAndWait(returning, { account: 'a' });
  // @ts-expect-error -- a key is a text
  defineQueue<{ n: number }>('ledger', { orderingKey: ({ n }) => n });
  // @ts-expect-error -- no such member
  defineQueue<{ n: number }>('ledger', { orderingKey: ({ account }: { account: string }) => account });
  // @ts-expect-error -- no such word
  defineQueue<string>('ledger', { orderingKey: (text) => text, afterDeadLetter: 'wait' });
  // @ts-expect-error -- named tasks have no order
  defineQueue('files', { tasks: { import: payload<string>() }, orderingKey: () => 'a' });
  // @ts-expect-error -- a publish under a key has no order
  await queue.publishUnique(Ledger, { account: 'a' }, { key: 'a', orderingKey: 'a' });
  return [id, result, Checked];
}
