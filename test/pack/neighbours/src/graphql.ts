/** Resolvers of @nestjs/graphql: cached queries and fields, locked queries, and what a client sees of a busy lock. */
import assert from 'node:assert/strict';
import { ApolloDriver, type ApolloDriverConfig } from '@nestjs/apollo';
import { APP_FILTER, NestFactory } from '@nestjs/core';
import { Args, Field, GraphQLModule, Int, ObjectType, Parent, Query, ResolveField, Resolver } from '@nestjs/graphql';
import { CacheStampedeSafe, LockService, SluiceExceptionFilter, WithLock, currentLock } from 'nestjs-sluice';
import { check, moduleOf, sluice } from './check.js';

@ObjectType()
class Author {
  @Field(() => Int) id!: number;
}

@ObjectType()
class Post {
  @Field(() => Int) id!: number;
}

@Resolver(() => Post)
class Posts {
  static loads: string[] = [];

  @Query(() => [Post])
  @CacheStampedeSafe({ key: 'posts' })
  async posts(): Promise<Post[]> {
    Posts.loads.push('posts');
    return [{ id: 1 }, { id: 2 }, { id: 3 }];
  }

  @ResolveField(() => Author)
  @CacheStampedeSafe({ key: (_post: Post) => 'author' })
  async author(@Parent() _post: Post): Promise<Author> {
    Posts.loads.push('author');
    return { id: 7 };
  }

  @Query(() => String)
  @WithLock((id: string) => `post:${id}`, { waitMs: 200 })
  async locked(@Args('id', { type: () => String }) id: string): Promise<string> {
    return `${id} ${currentLock()?.name}`;
  }
}

export const graphql = (): Promise<void> =>
  check('resolvers and fields of GraphQL, and no holder in the answer for a busy lock', async () => {
    const imports = [
      GraphQLModule.forRoot<ApolloDriverConfig>({ driver: ApolloDriver, autoSchemaFile: true }),
      sluice('graphql'),
    ];
    const providers = [Posts, { provide: APP_FILTER, useClass: SluiceExceptionFilter }];
    const app = await NestFactory.create(moduleOf({ imports, providers }), { logger: ['error', 'warn'] });
    await app.listen(0, '127.0.0.1');
    const url = `${await app.getUrl()}/graphql`;
    const ask = async (
      query: string,
    ): Promise<{ data?: unknown; errors?: { message: string; extensions: unknown }[] }> => {
      const headers = { 'content-type': 'application/json' };
      const response = await fetch(url, { method: 'POST', headers, body: JSON.stringify({ query }) });
      return (await response.json()) as never;
    };
    const query = '{ posts { id author { id } } locked(id: "5") }';
    for (const { data, errors } of [await ask(query), await ask(query)]) {
      assert.deepEqual(errors, undefined);
      assert.deepEqual(data, { posts: [1, 2, 3].map((id) => ({ id, author: { id: 7 } })), locked: '5 post:5' });
    }
    assert.deepEqual(Posts.loads.sort(), ['author', 'posts']);
    const held = await app.get(LockService).acquire('post:9', { owner: 'somebody-on-a-host' });
    const { errors } = await ask('{ locked(id: "9") }');
    assert.equal(errors?.[0]?.message, 'Busy with another request for the same resource, try again');
    assert.match(JSON.stringify(errors), /SLUICE_LOCK_TIMEOUT/);
    assert.doesNotMatch(JSON.stringify(errors), /somebody-on-a-host|post:9/);
    await held.release();
    await app.close();
  });
