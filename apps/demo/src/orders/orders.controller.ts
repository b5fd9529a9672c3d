import { BadRequestException, Body, Controller, HttpCode, HttpStatus, Post } from '@nestjs/common';
import { QueueService } from 'nestjs-sluice';
import { randomUUID } from 'node:crypto';
import { Orders, type PlaceOrder } from './order.js';

@Controller('orders')
export class OrdersController {
  constructor(private readonly queue: QueueService) {}

  /** Answers as soon as the order is safe in the queue: from there on it is charged or dead-lettered, never lost. */
  @Post()
  @HttpCode(HttpStatus.ACCEPTED)
  async place(@Body() body: Partial<PlaceOrder>): Promise<{ id: string }> {
    const { product, amountCents, card } = body;
    if (typeof product !== 'string' || typeof amountCents !== 'number' || typeof card !== 'string') {
      throw new BadRequestException('an order has a product, amountCents and a card');
    }
    const id = randomUUID();
    await this.queue.publish(Orders, { id, product, amountCents, card });
    return { id };
  }
}
