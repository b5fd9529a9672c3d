import { Injectable } from '@nestjs/common';
import { TaskHandler, TaskSchedule, defineQueue, type Task } from 'nestjs-sluice';
import { Database } from '../database/database.js';
import { settings } from '../settings.js';
import { ChangedProducts, type ChangedProduct } from './search.service.js';

const StockReports = defineQueue<null>('stock-reports');

@Injectable()
export class SearchWorker {
  constructor(private readonly database: Database) {}

  /** One statement for many products: it costs hardly more than one for each. */
  @TaskHandler(ChangedProducts, { batch: { max: 50, waitMs: 50 } })
  async index(tasks: readonly Task<ChangedProduct>[]): Promise<void> {
    await this.database.query('index products', INDEX, [tasks.map(({ payload }) => payload.productId)]);
  }

  /** Published once per instant in the whole fleet. An hour lasts a second here: yours is '0 * * * *'. */
  @TaskHandler(StockReports)
  @TaskSchedule('stock-report', { everyMs: 1_000 })
  async report({ id }: Task<null>): Promise<void> {
    await this.database.query('stock report', REPORT, [id, Number(id.split('@')[1]), settings.instance]);
  }
}

const INDEX = `
insert into search_index (product_id, name, price_cents)
select id, name, price_cents from products where id = any($1)
on conflict (product_id) do update set name = excluded.name, price_cents = excluded.price_cents`;
/** The id is the same when the task runs again. */
const REPORT = `
insert into stock_reports (id, at, items, written_by)
select $1, $2, count(*), $3 from products where stock < 10 on conflict do nothing`;
