import { Module } from '@nestjs/common';
import { DatabaseModule } from '../database/database.module.js';
import { SettlementService } from './settlement.service.js';

@Module({ imports: [DatabaseModule], providers: [SettlementService] })
export class SettlementModule {}
