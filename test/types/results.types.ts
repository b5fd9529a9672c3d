/** Compile-only: what the types of results accept and refuse. */
import { from, type Observable } from 'rxjs';
import { z } from 'zod';
import { defineQueue, payload, TaskHandler, type QueueService, type Task } from '../../libs/queue/index.js';

interface Order {
  readonly productId: string;
}
const Orders = defineQueue<Order>('orders');
const Files = defineQueue('files', { tasks: { import: payload<{ readonly url: string }>() } });

interface Receipt {
  readonly cents: number;
}
const Payments = defineQueue<Order>('payments').returning<Receipt>();
const Quotes = defineQueue<Order>('quotes').returning(z.object({ at: z.string().transform(Number) }));
const Both = defineQueue('both', { schema: z.string(), result: z.object({ cents: z.number() }) });

export abstract class Returning {
  @TaskHandler(Payments)
  async pay(task: Task<Order>): Promise<Receipt> {
    await this.use(task);
    return { cents: 1 };
  }

  @TaskHandler(Payments)
  atOnce(): Receipt {
    return { cents: 1 };
  }

  @TaskHandler(Payments)
  last(): Observable<Receipt> {
    return from([{ cents: 1 }]);
  }

  @TaskHandler(Payments)
  async *each(): AsyncGenerator<Receipt> {
    await this.use();
    yield { cents: 1 };
  }

  @TaskHandler(Quotes)
  async input(task: Task<Order>): Promise<{ at: string }> {
    await this.use(task);
    return { at: '1' };
  }

  // @ts-expect-error -- nothing, and not the queue's result
  @TaskHandler(Payments)
  async nothing(): Promise<void> {
    await this.use();
  }

  // @ts-expect-error -- another result than the queue's
  @TaskHandler(Payments)
  async other(): Promise<{ euros: number }> {
    await this.use();
    return { euros: 1 };
  }

  // @ts-expect-error -- what the schema gives, and not what it takes
  @TaskHandler(Quotes)
  async output(task: Task<Order>): Promise<{ at: number }> {
    await this.use(task);
    return { at: 1 };
  }

  // @ts-expect-error -- another payload than the queue's
  @TaskHandler(Payments)
  async payload(task: Task<{ n: number }>): Promise<Receipt> {
    await this.use(task);
    return { cents: 1 };
  }

  protected abstract use(task?: unknown): Promise<void>;
}

export async function results(queue: QueueService): Promise<number> {
  const { cents } = await queue.publishAndWait(Payments, { productId: 'a' }, { timeoutMs: 5, maxAttempts: 1 });
  const { at } = await queue.publishAndWait(Quotes, { productId: 'a' });
  const both = await queue.publishAndWait(Both, 'a', { group: 'a', signal: new AbortController().signal });
  const named: number = await queue.publishAndWait(Files.tasks.import.returning<number>(), { url: 'a' });
  const unknownResult: unknown = await queue.publishAndWait('tasks', 1);
  // @ts-expect-error -- the queue names no type of results
  const untyped: number = await queue.publishAndWait(Orders, { productId: 'a' });
  // @ts-expect-error -- another payload than the queue's
  await queue.publishAndWait(Payments, { n: 1 });
  const joined: Receipt = await queue.publishAndWait(Payments, { productId: 'a' }, { key: 'a' });
  // @ts-expect-error -- a key is a text
  await queue.publishAndWait(Payments, { productId: 'a' }, { key: 1 });
  await queue.publish(Payments, { productId: 'a' });
  await queue.schedules(Payments).upsert('a', { everyMs: 1_000 }, { productId: 'a' });
  await queue.dead(Payments).redrive({ filter: ({ payload: { productId } }) => productId === 'a' });
  return cents + joined.cents + at + both.cents + named + Number(unknownResult) + untyped;
}
