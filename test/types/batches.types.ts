/** Compile-only: what a handler of batches may not be. */
import { defineQueue, TaskHandler, type Task } from '../../libs/queue/index.js';

interface Order {
  readonly productId: string;
}
const Orders = defineQueue<Order>('orders');

export abstract class RefusedBatches {
  // @ts-expect-error -- one task, with a batch
  @TaskHandler(Orders, { batch: { max: 100 } })
  async oneTask(task: Task<Order>): Promise<void> {
    await this.use(task);
  }

  // @ts-expect-error -- an array, without a batch
  @TaskHandler(Orders)
  async arrayOfTasks(tasks: readonly Task<Order>[]): Promise<void> {
    await this.use(tasks);
  }

  // @ts-expect-error -- another payload than the queue's
  @TaskHandler(Orders, { batch: { max: 100 } })
  async otherPayloads(tasks: readonly Task<{ n: number }>[]): Promise<void> {
    await this.use(tasks);
  }

  // @ts-expect-error -- a batch without its max
  @TaskHandler(Orders, { batch: { waitMs: 10 } })
  async noMax(tasks: readonly Task<Order>[]): Promise<void> {
    await this.use(tasks);
  }

  protected abstract use(task?: unknown): Promise<void>;
}
