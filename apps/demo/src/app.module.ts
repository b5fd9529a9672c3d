import { Module } from '@nestjs/common';
import { ScheduleModule } from '@nestjs/schedule';
import { SluiceModule } from 'nestjs-sluice';
import { CatalogModule } from './catalog/catalog.module.js';
import { CreditModule } from './credit/credit.module.js';
import { CustomersModule } from './customers/customers.module.js';
import { HealthModule } from './health/health.module.js';
import { InvoicesModule } from './invoices/invoices.module.js';
import { MailsModule } from './mails/mails.module.js';
import { OrdersModule } from './orders/orders.module.js';
import { ParcelsModule } from './parcels/parcels.module.js';
import { SearchModule } from './search/search.module.js';
import { SettlementModule } from './settlement/settlement.module.js';
import { settings } from './settings.js';
import { StatsModule } from './stats/stats.module.js';
import { TrackingModule } from './tracking/tracking.module.js';
import { WebhooksModule } from './webhooks/webhooks.module.js';

@Module({
  imports: [
    ScheduleModule.forRoot(),
    CatalogModule,
    CreditModule,
    CustomersModule,
    OrdersModule,
    MailsModule,
    ParcelsModule,
    SearchModule,
    InvoicesModule,
    SettlementModule,
    HealthModule,
    StatsModule,
    TrackingModule,
    WebhooksModule,
    SluiceModule.forRoot({
      namespace: settings.namespace,
      // Redis, Postgres and three instances may share one busy machine. Where Redis has its own, keep the default of 5 s.
      redis: { url: settings.redisUrl, commandTimeoutMs: 60_000 },
    }),
  ],
})
export class AppModule {}
