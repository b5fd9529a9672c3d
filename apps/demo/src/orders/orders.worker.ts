import { Injectable } from '@nestjs/common';
import { DeadLetterTask, Task, TaskHandler } from 'nestjs-sluice';
import { PaymentsService } from '../payments/payments.service.js';
import { Orders, PACKED, Packing, SOLD, type Order } from './order.js';
import { StockService } from './stock.service.js';

@Injectable()
export class OrdersWorker {
  constructor(
    private readonly payments: PaymentsService,
    private readonly stock: StockService,
  ) {}

  /**
   * Returns: the task is done. Throws: it is tried again, and dead-lettered after the third attempt.
   *
   * At least once: if this process dies in the middle, the task runs again elsewhere, from its first line. So each step is
   * idempotent by the task's id: the gateway charges an id once, and an order is written once.
   */
  @TaskHandler(Orders, { maxAttempts: 3 })
  async fulfil(task: Task<Order>): Promise<void> {
    const { id, payload: order, signal } = task;
    const amountCents = await this.stock.price(order);
    await this.payments.charge({ id, amountCents, card: order.card }, signal);
    const taken = await this.stock.take(order, id, amountCents);
    if (taken) {
      // Both are done with the acknowledgement of this task, or not at all: a second run counts nothing twice.
      task.onAck([['hincrby', SOLD, String(order.productId), order.quantity]]);
      task.next(Packing, { orderId: id, quantity: order.quantity });
      return;
    }
    await this.payments.refund(id, signal);
    throw new DeadLetterTask(`product ${order.productId} is sold out`);
  }

  /** Follows each order that was fulfilled. */
  @TaskHandler(Packing)
  pack(task: Task<{ orderId: string; quantity: number }>): void {
    task.onAck([['sadd', PACKED, task.payload.orderId]]);
  }
}
