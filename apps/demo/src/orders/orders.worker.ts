import { Injectable } from '@nestjs/common';
import { Task, TaskHandler } from 'nestjs-sluice';
import { PaymentsService } from '../payments/payments.service.js';
import { Orders, type Order } from './order.js';

@Injectable()
export class OrdersWorker {
  constructor(private readonly payments: PaymentsService) {}

  /**
   * Returns: the task is done. Throws: it is tried again, and dead-lettered after the third attempt.
   * At least once: if this process dies in the middle, the task runs again elsewhere, so charging has to be idempotent.
   */
  @TaskHandler(Orders, { maxAttempts: 3 })
  async charge(task: Task<Order>): Promise<void> {
    await this.payments.charge(task.payload, task.signal);
  }
}
