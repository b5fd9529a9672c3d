import { Injectable } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { describe, expect, it } from '@jest/globals';
import { of, type Observable } from 'rxjs';
import { SluiceTestingModule } from '../../testing/index.js';
import { CacheEvict, CachePut, CacheService, CacheStampedeSafe } from '../index.js';

@Injectable()
class Prices {
  @CacheStampedeSafe({ key: () => 'safe' })
  async safe(): Promise<Observable<number>> {
    return of(1);
  }

  @CachePut({ key: () => 'put' })
  async put(): Promise<Observable<number>> {
    return of(1);
  }

  @CacheEvict({ key: () => 'evicted' })
  async evict(): Promise<Observable<number>> {
    return of(1);
  }
}

describe('a method that returns an Observable', () => {
  it.each(['safe', 'put', 'evict'] as const)('is refused by the decorators of the cache: %s', async (method) => {
    const app = await Test.createTestingModule({
      imports: [SluiceTestingModule.forRoot()],
      providers: [Prices],
    }).compile();
    await app.init();
    try {
      const cache = app.get(CacheService);
      await cache.set('evicted', 'still there');
      const refused = app.get(Prices)[method]();
      await expect(refused).rejects.toMatchObject({ code: 'SLUICE_BAD_RESULT' });
      await expect(refused).rejects.toThrow(`Prices.${method} (@Cache`);
      expect([await cache.get('put'), await cache.get('evicted')]).toEqual([undefined, 'still there']);
    } finally {
      await app.close();
    }
  });
});
