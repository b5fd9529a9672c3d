import { Injectable } from '@nestjs/common';
import { Cron, CronExpression } from '@nestjs/schedule';
import { WithLock } from 'nestjs-sluice';
import { PaymentsService } from '../payments/payments.service.js';

@Injectable()
export class SettlementService {
  constructor(private readonly payments: PaymentsService) {}

  /** The timer rings in every process; the job runs in one of them. A day lasts a second here: yours is '0 3 * * *'. */
  @Cron(CronExpression.EVERY_SECOND)
  @WithLock('daily_job')
  async settle(): Promise<void> {
    await this.payments.settle();
  }
}
