/** Compile-only: what the types of queues, handlers and publishing accept and refuse. */
import { z } from 'zod';
import { defineQueue, TaskHandler, type QueueService, type Task } from '../../libs/queue/index.js';

interface Order {
  readonly productId: string;
}
const Orders = defineQueue<Order>('orders');
const Mails = defineQueue('mails', { schema: z.object({ at: z.string().transform(Number) }) });

export abstract class Accepted {
  @TaskHandler(Orders)
  sync(task: Task<Order>): string {
    return task.payload.productId;
  }

  @TaskHandler(Orders, { concurrency: 50, group: 'shop', maxAttempts: 1, maxDeliveries: 2 })
  async lessSpecific(task: Task<object>): Promise<void> {
    await this.use(task);
  }

  @TaskHandler(Orders)
  protected async noTask(): Promise<void> {
    await this.use();
  }

  @TaskHandler('tasks')
  async byName(task: Task<{ n: number }>): Promise<number> {
    await this.use(task);
    return task.payload.n;
  }

  @TaskHandler(Mails)
  async transformed(task: Task<{ at: number }>): Promise<number> {
    await this.use(task);
    return task.payload.at;
  }

  protected abstract use(task?: unknown): Promise<void>;
}

export abstract class Refused {
  // @ts-expect-error -- another payload than the queue's
  @TaskHandler(Orders)
  async otherPayload(task: Task<{ n: number }>): Promise<void> {
    await this.use(task);
  }

  // @ts-expect-error -- the payload, and not the task
  @TaskHandler(Orders)
  async payload(order: Order): Promise<void> {
    await this.use(order);
  }

  // @ts-expect-error -- what the schema takes, and not what it gives
  @TaskHandler(Mails)
  async input(task: Task<{ at: string }>): Promise<void> {
    await this.use(task);
  }

  // @ts-expect-error -- more than a task
  @TaskHandler(Orders)
  async twoArguments(task: Task<Order>, note: string): Promise<void> {
    await this.use([task, note]);
  }

  // @ts-expect-error -- no such option
  @TaskHandler('tasks', { retries: 3 })
  async unknownOption(): Promise<void> {
    await this.use();
  }

  protected abstract use(task?: unknown): Promise<void>;
}

export async function publishing(queue: QueueService): Promise<string[]> {
  // @ts-expect-error -- another payload than the queue's
  await queue.publish(Orders, { n: 1 });
  // @ts-expect-error -- one that is none among them
  await queue.publishMany(Orders, [{ productId: 'a' }, 1]);
  // @ts-expect-error -- what the schema gives, and not what it takes
  await queue.publish(Mails, { at: 1 });
  return [
    await queue.publish(Mails, { at: '1' }),
    await queue.publish(Orders, { productId: 'a' }),
    await queue.publish('tasks', { anything: true }),
    ...(await queue.publishMany(Orders, [{ productId: 'b' }])),
    ...(await queue.publishMany('tasks', [1, 'two'])),
  ];
}
