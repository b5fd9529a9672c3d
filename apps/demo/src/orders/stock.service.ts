import { Injectable } from '@nestjs/common';
import { CacheEvict, currentLock, DeadLetterTask, WithLock } from 'nestjs-sluice';
import { Database } from '../database/database.js';
import type { Order } from './order.js';

@Injectable()
export class StockService {
  constructor(private readonly database: Database) {}

  /** What the order costs. */
  async price({ productId, quantity }: Order): Promise<number> {
    const [product] = await this.database.query<{ priceCents: number }>(
      'price',
      'select price_cents as "priceCents" from products where id = $1',
      [productId],
    );
    if (!product) throw new DeadLetterTask(`there is no product ${productId}`);
    return product.priceCents * quantity;
  }

  /**
   * Takes the goods and writes the order down, both or neither; false if there are not enough left.
   *
   * One process at a time per product. Should one be suspended in here for longer than its lease, it wakes up without the
   * lock and does not know yet: then its fencing token is older than the row's, and the statement changes nothing.
   */
  @CacheEvict({ tags: (order: Order) => [`customer:${order.customerId}`] })
  @WithLock((order: Order) => `stock:${order.productId}`)
  async take({ productId, customerId, quantity }: Order, id: string, amountCents: number): Promise<boolean> {
    const fence = currentLock()?.fencingToken;
    const [row] = await this.database.query<{ written: boolean; fenced: boolean }>('take stock', TAKE, [
      id,
      productId,
      customerId,
      quantity,
      amountCents,
      fence,
    ]);
    if (row?.fenced)
      throw new Error(`the lock of product ${productId} has passed on: token ${String(fence)} is too old`);
    return row?.written === true;
  }
}

/** Written before, by an attempt that died before it could say so: nothing is taken again. */
const TAKE = `
with known as (
  select id from orders where id = $1
), taken as (
  update products set stock = stock - $4, stock_fence = $6
   where id = $2 and stock >= $4 and stock_fence <= $6 and not exists (select from known)
  returning id
), written as (
  insert into orders (id, product_id, customer_id, quantity, amount_cents)
  select $1, id, $3, $4, $5 from taken
  returning id
)
select exists (select from known union all select from written) as written,
       (select stock_fence > $6 from products where id = $2) and not exists (select from known) as fenced`;
