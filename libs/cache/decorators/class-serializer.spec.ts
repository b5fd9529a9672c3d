import { describe, expect, it } from '@jest/globals';
import {
  ClassSerializerInterceptor,
  Controller,
  Get,
  Inject,
  Injectable,
  Module,
  UseInterceptors,
} from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { Exclude } from 'class-transformer';
import { CacheBed } from '../../../test/support/cache-bed.js';
import { SluiceRedisModule } from '../../redis/index.js';
import { CacheStampedeSafe } from './cache-stampede-safe.decorator.js';
import { SluiceCacheModule } from '../cache.module.js';

const bed = new CacheBed();

class User {
  id = 7;
  @Exclude()
  password = 'secret';
}

@Injectable()
class Users {
  @CacheStampedeSafe({ key: () => 'revived', revive: (data) => Object.assign(new User(), data) })
  async revived(): Promise<User> {
    return Promise.resolve(new User());
  }

  @CacheStampedeSafe({ key: () => 'refused' })
  async refused(): Promise<User> {
    return Promise.resolve(new User());
  }
}

@Controller()
@UseInterceptors(ClassSerializerInterceptor)
class UsersController {
  constructor(@Inject(Users) private readonly users: Users) {}

  @Get('revived')
  async revived(): Promise<User> {
    return this.users.revived();
  }

  @Get('refused')
  async refused(): Promise<User> {
    return this.users.refused();
  }
}

describe('cached instances behind the ClassSerializerInterceptor', () => {
  it('keep what is excluded to themselves, from the loader, Redis and the local tier', async () => {
    @Module({})
    class AppModule {}
    const app = await NestFactory.create(
      {
        module: AppModule,
        imports: [SluiceRedisModule.forRoot({ redis: { url: bed.redis.url } }), SluiceCacheModule.forRoot({})],
        controllers: [UsersController],
        providers: [Users],
      },
      { logger: false },
    );
    try {
      await app.listen(0, '127.0.0.1');
      const url = await app.getUrl();
      for (let i = 0; i < 4; i++) expect(await (await fetch(`${url}/revived`)).json()).toEqual({ id: 7 });
      expect(await bed.admin.get('{cache}:revived')).toContain('secret');
      const refused = await fetch(`${url}/refused`);
      expect(refused.status).toBe(500);
      expect(await refused.text()).not.toContain('secret');
    } finally {
      await app.close();
    }
  });
});
