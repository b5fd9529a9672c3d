import { Body, Controller, Get, HttpCode, HttpStatus, NotFoundException, Param, Post, Res } from '@nestjs/common';
import type { Response } from 'express';
import type { OrderStatus } from './order.js';
import { OrdersService } from './orders.service.js';
import { PlaceOrderDto } from './place-order.dto.js';

@Controller('orders')
export class OrdersController {
  constructor(private readonly orders: OrdersService) {}

  /** Answers as soon as the order is safe in the queue: from there on it is completed or dead-lettered, never lost. */
  @Post()
  @HttpCode(HttpStatus.ACCEPTED)
  async place(@Body() order: PlaceOrderDto, @Res({ passthrough: true }) response: Response): Promise<{ id: string }> {
    const id = await this.orders.place(order);
    response.location(`/orders/${id}`);
    return { id };
  }

  @Get(':id')
  async status(@Param('id') id: string): Promise<OrderStatus> {
    const status = await this.orders.status(id);
    if (!status) throw new NotFoundException(`there is no order ${id}`);
    return status;
  }
}
