import { Module } from '@nestjs/common';
import { DatabaseModule } from '../database/database.module.js';
import { PaymentsModule } from '../payments/payments.module.js';
import { OrdersController } from './orders.controller.js';
import { OrdersService } from './orders.service.js';
import { OrdersWorker } from './orders.worker.js';
import { StockService } from './stock.service.js';

@Module({
  imports: [DatabaseModule, PaymentsModule],
  controllers: [OrdersController],
  providers: [OrdersService, OrdersWorker, StockService],
})
export class OrdersModule {}
