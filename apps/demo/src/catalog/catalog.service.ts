import { Injectable } from '@nestjs/common';
import { CacheEvict, CacheStampedeSafe } from 'nestjs-sluice';
import { Database } from '../database/database.js';
import type { ChangeProductDto } from './change-product.dto.js';
import type { Bestseller, Overview, Product } from './product.js';

const PRODUCT = 'id, category_id as "categoryId", name, price_cents as "priceCents"';

@Injectable()
export class CatalogService {
  constructor(private readonly database: Database) {}

  /** A key of its own for each product. That there is none is remembered as well. */
  @CacheStampedeSafe({ key: (id: number) => `product:${id}`, ttlMs: 60_000, tags: ['products'] })
  async product(id: number): Promise<Product | null> {
    const [product] = await this.database.query<Product>('product', `select ${PRODUCT} from products where id = $1`, [
      id,
    ]);
    return product ?? null;
  }

  /**
   * Heavy on purpose: it ranks all products by all weeks of a year. Yet however many requests ask at once, and in however many
   * processes, the database is asked once; when it gets old, one process asks again while all others serve the old list.
   */
  @CacheStampedeSafe({
    key: (categoryId: number) => `bestsellers:${categoryId}`,
    ttlMs: 60_000,
    staleMs: 600_000,
    tags: ['products'],
  })
  async bestsellers(categoryId: number): Promise<Bestseller[]> {
    return this.database.query<Bestseller>('bestsellers', BESTSELLERS, [categoryId]);
  }

  /** The same for everybody: a key that never changes. */
  @CacheStampedeSafe({ key: () => 'catalog', ttlMs: 60_000, tags: ['products'] })
  async overview(): Promise<Overview> {
    const categories = await this.database.query<Overview['categories'][number]>(
      'overview',
      `select c.id, c.name, count(*)::int as products
         from categories c join products p on p.category_id = c.id group by c.id order by c.id`,
    );
    return { products: categories.reduce((sum, category) => sum + category.products, 0), categories };
  }

  /** Once it has returned, whoever asks in any process gets the new price: also from the lists that show it. */
  @CacheEvict({ key: (id: number) => `product:${id}`, tags: ['products'] })
  async change(id: number, { name, priceCents }: ChangeProductDto): Promise<Product | null> {
    const [product] = await this.database.query<Product>(
      'change product',
      `update products set name = coalesce($2, name), price_cents = coalesce($3, price_cents)
        where id = $1 returning ${PRODUCT}`,
      [id, name, priceCents],
    );
    return product ?? null;
  }
}

const BESTSELLERS = `
with weekly as (
  select product_id, date_trunc('week', sold_on) as week, sum(quantity) as sold from sales group by 1, 2
), ranked as (
  select *, rank() over (partition by week order by sold desc) as place from weekly
)
select r.product_id as "productId", p.name, sum(r.sold)::int as sold,
       count(*) filter (where r.place <= 100)::int as "weeksOnTop"
  from ranked r join products p on p.id = r.product_id
 where p.category_id = $1
 group by 1, 2 order by 3 desc, 1 limit 10`;
