import { Module } from '@nestjs/common';
import { PaymentsModule } from '../payments/payments.module.js';
import { OrdersController } from './orders.controller.js';
import { OrdersWorker } from './orders.worker.js';

@Module({ imports: [PaymentsModule], controllers: [OrdersController], providers: [OrdersWorker] })
export class OrdersModule {}
