/** Rate limits on every transport: Express, Fastify, GraphQL, a WebSocket gateway, message handlers. */
import 'reflect-metadata';
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { ApolloDriver, type ApolloDriverConfig } from '@nestjs/apollo';
import { Controller, Get, Injectable, type INestApplication, type ModuleMetadata } from '@nestjs/common';
import { APP_GUARD, NestFactory } from '@nestjs/core';
import { Args, Field, GraphQLModule, ObjectType, Parent, Query, ResolveField, Resolver } from '@nestjs/graphql';
import { ClientProxyFactory, MessagePattern, Payload, Transport } from '@nestjs/microservices';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { WsAdapter } from '@nestjs/platform-ws';
import { MessageBody, SubscribeMessage, WebSocketGateway } from '@nestjs/websockets';
import { firstValueFrom } from 'rxjs';
import { parseList } from 'structured-headers';
import { WebSocket } from 'ws';
import {
  RateLimit,
  RateLimitGuard,
  RateLimitService,
  SkipRateLimit,
  TaskHandler,
  QueueService,
  defineQueue,
  defineRateLimit,
  fromContext,
  type Task,
} from 'nestjs-sluice';
import { check, freePort, moduleOf, sluice, until } from './check.js';

const Two = defineRateLimit('two', { limit: 2, perMs: 60_000 });
const Api = defineRateLimit('api', {
  limits: { burst: { limit: 3, perMs: 60_000 }, daily: { limit: 1_000, window: 'day' } },
});
const Fields = defineRateLimit('fields', { limit: 20, perMs: 60_000 });
const Brief = defineRateLimit('brief', { limit: 1, perMs: 500 });
const nestMajor = Number(
  /^\d+/.exec(
    (JSON.parse(readFileSync('node_modules/@nestjs/core/package.json', 'utf8')) as { version: string }).version,
  )![0],
);
const guard = { provide: APP_GUARD, useClass: RateLimitGuard };

@Controller()
@RateLimit(Two)
class Shop {
  @Get('two')
  two(): string {
    return 'ok';
  }

  @Get('many')
  @SkipRateLimit('two')
  many(): string {
    return 'ok';
  }

  @Get('skips')
  @SkipRateLimit()
  skips(): string {
    return 'ok';
  }
}

/** Parses a field, and answers the parameters by the name of the limit. */
function parsed(response: Response, field: string): Record<string, Record<string, unknown>> {
  const list = parseList(response.headers.get(field)!) as [string, Map<string, unknown>][];
  return Object.fromEntries(list.map(([name, parameters]) => [name, Object.fromEntries(parameters)]));
}

async function http(app: INestApplication): Promise<void> {
  await app.listen(0, '127.0.0.1');
  const url = (await app.getUrl()).replace('[::1]', '127.0.0.1');
  const many = await fetch(`${url}/many`);
  assert.equal(many.status, 200);
  assert.deepEqual(parsed(many, 'ratelimit-policy'), {
    'api.burst': { q: 3, w: 60 },
    'api.daily': { q: 1_000, w: 86_400 },
  });
  const { 'api.burst': burst, 'api.daily': daily } = parsed(many, 'ratelimit');
  assert.deepEqual([burst!['r'], daily!['r']], [2, 999]);
  assert.ok((burst!['t'] as number) > 50 && (burst!['t'] as number) <= 62);
  assert.equal((await fetch(`${url}/two`)).status, 200);
  assert.equal((await fetch(`${url}/two`)).status, 200);
  const refused = await fetch(`${url}/two`);
  assert.equal(refused.status, 429);
  assert.match(refused.headers.get('content-type')!, /^application\/problem\+json/);
  const retryAfter = Number(refused.headers.get('retry-after'));
  for (const { t } of Object.values(parsed(refused, 'ratelimit'))) assert.ok(retryAfter >= (t as number));
  const problem = (await refused.json()) as { status: number; 'violated-policies': string[] };
  assert.equal(problem.status, 429);
  for (const name of problem['violated-policies']) assert.ok(name in parsed(refused, 'ratelimit-policy'));
  assert.deepEqual([...problem['violated-policies']].sort(), ['api.burst', 'two']);
  for (let i = 0; i < 5; i++) assert.equal((await fetch(`${url}/skips`)).status, 200);
  await app.close();
}

@Resolver()
class Fielded {
  static calls = 0;

  @Query(() => String, { nullable: true })
  @RateLimit(Fields)
  field(@Args('n', { type: () => String }) n: string): string {
    Fielded.calls++;
    return n;
  }
}

async function graphql(): Promise<void> {
  const imports = [
    GraphQLModule.forRoot<ApolloDriverConfig>({ driver: ApolloDriver, autoSchemaFile: true }),
    sluice('limited-graphql'),
  ];
  const app = await NestFactory.create(moduleOf({ imports, providers: [Fielded] }), { logger: ['error', 'warn'] });
  await app.listen(0, '127.0.0.1');
  const aliases = Array.from({ length: 50 }, (_, i) => `a${i}: field(n: "${i}")`).join(' ');
  const response = await fetch(`${await app.getUrl()}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ query: `{ ${aliases} }` }),
  });
  const { errors } = (await response.json()) as { errors: { message: string; extensions: object }[] };
  assert.equal(Fielded.calls, 20);
  assert.equal(errors.length, 30);
  assert.equal(errors[0]!.message, 'Too many requests, try again later');
  assert.match(JSON.stringify(errors[0]!.extensions), /SLUICE_RATE_LIMITED/);
  await app.close();
}

@ObjectType()
class Item {
  @Field(() => String) id!: string;
}

@Resolver(() => Item)
class Items {
  @Query(() => [Item])
  items(): Item[] {
    return ['1', '2', '3'].map((id) => ({ id }));
  }

  @ResolveField(() => String, { nullable: true })
  @RateLimit(Two)
  price(@Parent() { id }: Item): string {
    return id;
  }
}

/** What the boot says of resolvers whose limits nobody would enforce, and how many calls they get when somebody does. */
async function resolvers(): Promise<void> {
  const boot = async (namespace: string, options: object, providers: ModuleMetadata['providers']) => {
    const driver = { driver: ApolloDriver, autoSchemaFile: true, ...options };
    const imports = [GraphQLModule.forRoot<ApolloDriverConfig>(driver), sluice(namespace)];
    const app = await NestFactory.create(moduleOf({ imports, providers }), { logger: false, abortOnError: false });
    try {
      await app.listen(0, '127.0.0.1');
    } catch (error) {
      await app.close().catch(() => {});
      throw error;
    }
    return app;
  };
  const errorsOf = async (app: INestApplication, query: string): Promise<number> => {
    const headers = { 'content-type': 'application/json' };
    const init = { method: 'POST', headers, body: JSON.stringify({ query }) };
    const response = await fetch(`${await app.getUrl()}/graphql`, init);
    const { errors = [] } = (await response.json()) as { errors?: unknown[] };
    await app.close();
    return errors.length;
  };
  const guarded = { fieldResolverEnhancers: ['guards'] };
  await assert.rejects(boot('fields', {}, [Items]), /Items.price: the method resolves a field/);
  assert.equal(await errorsOf(await boot('guarded-fields', guarded, [Items]), '{ items { price } }'), 1);
  const made = { provide: Fielded, useFactory: () => new Fielded() };
  await assert.rejects(boot('made', {}, [made]), /Fielded.field: the resolver is a value or was made by a factory/);
  const aliases = Array.from({ length: 25 }, (_, i) => `a${i}: field(n: "${i}")`).join(' ');
  assert.equal(await errorsOf(await boot('guarded-made', {}, [made, guard]), `{ ${aliases} }`), 5);
  const named = { provide: 'fielded', useClass: Fielded };
  assert.equal(await errorsOf(await boot('named', {}, [named]), `{ ${aliases} }`), 5);
}

@WebSocketGateway()
class Gateway {
  static calls = 0;

  @SubscribeMessage('ask')
  @RateLimit(Two)
  ask(@MessageBody() id: string): { event: string; data: string } {
    Gateway.calls++;
    return { event: 'answer', data: id };
  }
}

@Controller()
class Messages {
  @MessagePattern('price')
  @RateLimit(Two, { by: fromContext((context) => context.switchToRpc().getData<{ tenant: string }>().tenant) })
  price(@Payload() { tenant }: { tenant: string }): string {
    return tenant;
  }
}

async function transports(): Promise<void> {
  const metadata = { imports: [sluice('limited-transports')], providers: [Gateway], controllers: [Messages] };
  const app = await NestFactory.create(moduleOf(metadata), { logger: ['error', 'warn'] });
  app.useWebSocketAdapter(new WsAdapter(app));
  const options = { host: '127.0.0.1', port: await freePort() };
  app.connectMicroservice({ transport: Transport.TCP, options }, { inheritAppConfig: true });
  await app.startAllMicroservices();
  await app.listen(0, '127.0.0.1');

  const client = ClientProxyFactory.create({ transport: Transport.TCP, options });
  const send = (tenant: string): Promise<unknown> =>
    firstValueFrom(client.send<unknown>('price', { tenant })).catch((error: unknown) => error);
  assert.deepEqual([await send('a'), await send('a'), await send('b')], ['a', 'a', 'b']);
  const refused = (await send('a')) as { status: string; code: string; retryAfterMs: number };
  assert.deepEqual([refused.status, refused.code], ['error', 'SLUICE_RATE_LIMITED']);
  assert.ok(refused.retryAfterMs > 0);
  client.close();

  // Each message of a client counts, however long the client stays.
  const socket = new WebSocket((await app.getUrl()).replace('http', 'ws'));
  const answers: { event: string; data: { code?: string } }[] = [];
  socket.on('message', (message) => answers.push(JSON.parse(String(message)) as never));
  await new Promise((resolve) => socket.once('open', resolve));
  for (let i = 1; i <= 2; i++) {
    socket.send(JSON.stringify({ event: 'ask', data: String(i) }));
    await until(`answer ${i} came`, () => answers.length === i);
  }
  assert.deepEqual(answers, [
    { event: 'answer', data: '1' },
    { event: 'answer', data: '2' },
  ]);
  const { refused: before } = app.get(RateLimitService).stats();
  socket.send(JSON.stringify({ event: 'ask', data: '3' }));
  await until('the third message is refused', () => app.get(RateLimitService).stats().refused > before);
  // Nest 11 does not send exceptions to clients of ws.
  if (nestMajor >= 12) {
    await until('the client is told', () => answers.length === 3);
    assert.deepEqual([answers[2]!.event, answers[2]!.data.code], ['exception', 'SLUICE_RATE_LIMITED']);
  }
  assert.equal(Gateway.calls, 2);
  socket.close();
  await app.close();
}

const Jobs = defineQueue<{ id: string }>('limited-jobs');

@Injectable()
class Partner {
  @RateLimit(Brief)
  async call(id: string): Promise<string> {
    return Promise.resolve(id);
  }
}

@Injectable()
class Worker {
  static done: string[] = [];
  static attempts: number[] = [];

  constructor(private readonly partner: Partner) {}

  @TaskHandler(Jobs)
  async work({ payload, attempt }: Task<{ id: string }>): Promise<void> {
    Worker.done.push(await this.partner.call(payload.id));
    Worker.attempts.push(attempt);
  }
}

async function tasks(): Promise<void> {
  const metadata = { imports: [sluice('limited-tasks')], providers: [Worker, Partner] };
  const app = await NestFactory.createApplicationContext(moduleOf(metadata), { logger: ['error', 'warn'] });
  await Promise.all(['1', '2', '3'].map((id) => app.get(QueueService).publish(Jobs, { id })));
  await until('all tasks are done', () => Worker.done.length === 3);
  assert.deepEqual([...Worker.done].sort(), ['1', '2', '3']);
  // A task that was put off is still at its first attempt.
  assert.equal(new Set(Worker.attempts).size, 1);
  assert.ok(app.get(RateLimitService).stats().refused > 0);
  await app.close();
}

async function main(): Promise<void> {
  const metadata = { controllers: [Shop], providers: [guard] };
  await check('rate limits under Express: headers are structured fields, and three guards charge once', async () =>
    http(
      await NestFactory.create(moduleOf({ ...metadata, imports: [sluice('express', { limit: { routes: Api } })] }), {
        logger: ['error', 'warn'],
      }),
    ),
  );
  await check('rate limits under Fastify', async () =>
    http(
      await NestFactory.create(
        moduleOf({ ...metadata, imports: [sluice('fastify', { limit: { routes: Api } })] }),
        new FastifyAdapter(),
        { logger: ['error', 'warn'] },
      ),
    ),
  );
  await check('fifty aliases of one GraphQL field are fifty calls', graphql);
  await check('the boot finds limits of GraphQL that no guard enforces', resolvers);
  await check('gateways and message handlers refuse with the exceptions of their transports', transports);
  await check('a rate limit inside a task handler puts tasks off', tasks);
}

void main();
