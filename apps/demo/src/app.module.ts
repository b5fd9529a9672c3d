import { Module } from '@nestjs/common';
import { ScheduleModule } from '@nestjs/schedule';
import { SluiceModule } from 'nestjs-sluice';
import { CatalogModule } from './catalog/catalog.module.js';
import { CustomersModule } from './customers/customers.module.js';
import { HealthModule } from './health/health.module.js';
import { OrdersModule } from './orders/orders.module.js';
import { SettlementModule } from './settlement/settlement.module.js';
import { settings } from './settings.js';
import { StatsModule } from './stats/stats.module.js';

@Module({
  imports: [
    ScheduleModule.forRoot(),
    CatalogModule,
    CustomersModule,
    OrdersModule,
    SettlementModule,
    HealthModule,
    StatsModule,
    SluiceModule.forRoot({
      namespace: settings.namespace,
      redis: { url: settings.redisUrl },
    }),
  ],
})
export class AppModule {}
