import { Module } from '@nestjs/common';
import { PaymentsModule } from '../payments/payments.module.js';
import { SettlementService } from './settlement.service.js';

@Module({ imports: [PaymentsModule], providers: [SettlementService] })
export class SettlementModule {}
