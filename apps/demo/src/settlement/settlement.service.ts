import { Injectable } from '@nestjs/common';
import { Cron, CronExpression } from '@nestjs/schedule';
import { currentLock, WithLock } from 'nestjs-sluice';
import { Database } from '../database/database.js';
import { settings } from '../settings.js';

@Injectable()
export class SettlementService {
  constructor(private readonly database: Database) {}

  /** The timer rings in every process; the job runs in one of them. A day lasts a second here: yours is '0 3 * * *'. */
  @Cron(CronExpression.EVERY_SECOND)
  @WithLock('daily_job')
  async settle(): Promise<void> {
    const day = Math.round(Date.now() / 1_000);
    await this.database.query('settle', SETTLE, [day, settings.instance, currentLock()?.fencingToken]);
  }
}

/** Nothing, if someone with a newer token has settled since: this process was suspended and has lost its lock. */
const SETTLE = `
with allowed as (
  select where not exists (select from settlements where fence > $3)
), due as (
  update orders set settled_on = $1 where settled_on is null and exists (select from allowed) returning amount_cents
)
insert into settlements (day, revenue_cents, orders, settled_by, fence)
select $1, coalesce(sum(amount_cents), 0), count(*), $2, $3 from due having exists (select from allowed)
on conflict (day) do update
  set runs = settlements.runs + 1,
      revenue_cents = settlements.revenue_cents + excluded.revenue_cents,
      orders = settlements.orders + excluded.orders`;
