import { Module } from '@nestjs/common';
import { InvoicesController } from './invoices.controller.js';
import { InvoicesWorker } from './invoices.worker.js';

@Module({ controllers: [InvoicesController], providers: [InvoicesWorker] })
export class InvoicesModule {}
