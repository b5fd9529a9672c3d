import { Injectable } from '@nestjs/common';
import { DeadLetterTask, Task, TaskHandler } from 'nestjs-sluice';
import { PaymentsService } from '../payments/payments.service.js';
import { Orders, type Order } from './order.js';
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
    if (taken) return;
    await this.payments.refund(id, signal);
    throw new DeadLetterTask(`product ${order.productId} is sold out`);
  }
}
