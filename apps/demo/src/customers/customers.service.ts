import { Injectable } from '@nestjs/common';
import { CacheStampedeSafe } from 'nestjs-sluice';
import { Database } from '../database/database.js';

export interface Dashboard {
  customerId: number;
  spentCents: number;
  favourites: { productId: number; name: string; bought: number }[];
}

@Injectable()
export class CustomersService {
  constructor(private readonly database: Database) {}

  /** A key with the customer in it: without it, one customer would be shown what another bought. */
  @CacheStampedeSafe({
    key: (id: number) => `dashboard:${id}`,
    ttlMs: 30_000,
    tags: (id: number) => [`customer:${id}`],
  })
  async dashboard(customerId: number): Promise<Dashboard> {
    const rows = await this.database.query<Dashboard['favourites'][number] & { spentCents: number }>(
      'dashboard',
      `select s.product_id as "productId", p.name, sum(s.quantity)::int as bought,
              (sum(sum(s.amount_cents)) over ())::int as "spentCents"
         from (select product_id, quantity, amount_cents from sales where customer_id = $1 union all
               select product_id, quantity, amount_cents from orders where customer_id = $1) s
         join products p on p.id = s.product_id group by 1, 2 order by 3 desc, 1 limit 5`,
      [customerId],
    );
    return {
      customerId,
      spentCents: rows[0]?.spentCents ?? 0,
      favourites: rows.map(({ productId, name, bought }) => ({ productId, name, bought })),
    };
  }
}
