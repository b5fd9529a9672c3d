import { BadGatewayException, Injectable } from '@nestjs/common';
import { CacheStampedeSafe } from 'nestjs-sluice';
import { settings } from '../settings.js';
import type { Product } from './product.js';

@Injectable()
export class CatalogService {
  /** However many requests ask at once, and in however many processes: the slow source is asked once a minute. */
  @CacheStampedeSafe({ key: (id: string) => `product:${id}`, ttlMs: 60_000 })
  async product(id: string): Promise<Product> {
    const response = await fetch(`${settings.sourceUrl}/products/${encodeURIComponent(id)}`, {
      headers: { 'user-agent': settings.instance },
    });
    if (!response.ok) throw new BadGatewayException(`the source answered ${response.status}`);
    return (await response.json()) as Product;
  }
}
