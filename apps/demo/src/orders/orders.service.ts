import { Injectable } from '@nestjs/common';
import { QueueService } from 'nestjs-sluice';
import { Database } from '../database/database.js';
import { Orders, type Order, type OrderStatus } from './order.js';

@Injectable()
export class OrdersService {
  constructor(
    private readonly queue: QueueService,
    private readonly database: Database,
  ) {}

  /** Resolved: the order is safe in the queue. Its id is the task's, wherever the task goes. */
  async place(order: Order): Promise<string> {
    return this.queue.publish(Orders, order);
  }

  async status(id: string): Promise<OrderStatus | undefined> {
    const written = await this.written(id);
    if (written) return written;
    const task = await this.queue.inspect(Orders, id);
    // Neither here nor there: it was written down between the two looks, or never was.
    return task ? { id, state: task.state } : this.written(id);
  }

  private async written(id: string): Promise<OrderStatus | undefined> {
    const [order] = await this.database.query<{ amountCents: number }>(
      'order',
      'select amount_cents as "amountCents" from orders where id = $1',
      [id],
    );
    return order && { id, state: 'completed', ...order };
  }
}
