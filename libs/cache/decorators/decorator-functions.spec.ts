import { describe, expect, it } from '@jest/globals';
import { Test } from '@nestjs/testing';
import { SluiceTestingModule } from '../../testing/index.js';
import { CacheEvict } from './cache-evict.decorator.js';
import { CachePut } from './cache-put.decorator.js';
import { CacheStampedeSafe } from './cache-stampede-safe.decorator.js';

describe('a condition of a decorator', () => {
  it.each<[string, (option: object) => MethodDecorator]>([
    ['when of @CacheStampedeSafe', (option) => CacheStampedeSafe({ key: 'k', ...option }) as MethodDecorator],
    ['when of @CachePut', (option) => CachePut({ key: 'k', ...option }) as MethodDecorator],
    ['when of @CacheEvict', (option) => CacheEvict({ key: 'k', ...option }) as MethodDecorator],
    ['unless of @CachePut', (option) => CachePut({ key: 'k', ...option }) as MethodDecorator],
    ['unless of @CacheEvict', (option) => CacheEvict({ key: 'k', ...option }) as MethodDecorator],
  ])('%s is refused if it answers with a promise, which would count as true', async (what, decorate) => {
    class Shop {
      async stock(): Promise<number> {
        return Promise.resolve(1);
      }
    }
    const name = what.split(' ')[0]!;
    const descriptor = Object.getOwnPropertyDescriptor(Shop.prototype, 'stock')!;
    decorate({ [name]: () => Promise.reject(new Error('late')) })(Shop.prototype, 'stock', descriptor);
    Object.defineProperty(Shop.prototype, 'stock', descriptor);
    const app = await Test.createTestingModule({
      imports: [SluiceTestingModule.forRoot()],
      providers: [Shop],
    }).compile();
    await expect(app.get(Shop).stock()).rejects.toMatchObject({
      code: 'SLUICE_BAD_OPTION',
      message: expect.stringContaining(`${name} of Shop.stock`),
    });
    await app.close();
  });
});
