import { Injectable } from '@nestjs/common';
import { QueueService, defineQueue } from 'nestjs-sluice';

export interface ChangedProduct {
  productId: number;
}

export const ChangedProducts = defineQueue<ChangedProduct>('search');

@Injectable()
export class SearchService {
  constructor(private readonly queue: QueueService) {}

  /** A product is indexed shortly after its last change, however often it changes, and two seconds after the first at the latest. */
  async changed(productId: number): Promise<void> {
    const options = { key: String(productId), mode: 'debounce', windowMs: 200, maxWaitMs: 2_000 } as const;
    await this.queue.publishUnique(ChangedProducts, { productId }, options);
  }
}
