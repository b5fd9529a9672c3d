import type { ClientBase } from 'pg';
import { SCHEMA } from '../database/schema.js';

export const CATEGORIES = 40;
export const PRODUCTS = 12_000;
export const CUSTOMERS = 2_000;
const MONTHS = 12;
const SALES_PER_MONTH = 25_000;

/**
 * Fills an empty database, always with the same shop: what looks random is a multiplicative hash of the row's number
 * (Knuth, The Art of Computer Programming, vol. 3, section 6.4).
 *
 * @param onProgress called with the share that is done, from 0 to 1
 */
export async function seed(client: ClientBase, onProgress: (done: number) => void): Promise<void> {
  const hash = (number: string): string => `(((${number})::bigint * 2654435761 % 4294967296) >> 8)`;
  const steps = [
    SCHEMA,
    `insert into categories select i, 'Category ' || i from generate_series(1, ${CATEGORIES}) i`,
    `insert into products
       select i, 1 + i % ${CATEGORIES}, 'Product ' || i, 99 + ${hash('i')} % 20000, stock, stock
       from generate_series(1, ${PRODUCTS}) i, lateral (select 1000 + ${hash('i + 17')} % 9000 as stock) s`,
    `insert into customers select i, 'Customer ' || i from generate_series(1, ${CUSTOMERS}) i`,
    // The third power: few products sell much, many little.
    ...Array.from(
      { length: MONTHS },
      (_, month) => `insert into sales
        select p.id, 1 + ${hash('i * 3')} % ${CUSTOMERS}, q.n, q.n * p.price_cents,
               date '2025-01-01' + ${month} * interval '1 month' + (${hash('i * 7')} % 28) * interval '1 day'
        from generate_series(${month * SALES_PER_MONTH + 1}, ${(month + 1) * SALES_PER_MONTH}) i
        cross join lateral (select 1 + ${hash('i * 5')} % 3 as n) q
        join products p on p.id = 1 + floor(power((${hash('i')} % 100000) / 100000.0, 3) * ${PRODUCTS})`,
    ),
    'analyze',
  ];
  for (const [i, step] of steps.entries()) {
    await client.query(step);
    onProgress((i + 1) / steps.length);
  }
}
