import { afterEach, describe, expect, it } from '@jest/globals';
import { Controller, Get, Injectable, type ModuleMetadata, type Provider, type Type } from '@nestjs/common';
import { APP_GUARD } from '@nestjs/core';
import { Test, type TestingModule } from '@nestjs/testing';
import { SluiceTestingModule } from '../../testing/index.js';
import { SluiceError } from '../../weave/index.js';
import {
  RateLimit,
  RateLimitGuard,
  SkipRateLimit,
  defineRateLimit,
  fromContext,
  type SluiceLimitModuleOptions,
} from '../index.js';

const Login = defineRateLimit('login', { limit: 5, perMs: 60_000 });
const OtherLogin = defineRateLimit('login', { limit: 6, perMs: 60_000 });
const Paced = defineRateLimit('paced', { limit: 5, perMs: 60_000, mode: 'pace' });
const ofContext = fromContext(() => 'someone');

let app: TestingModule | undefined;
afterEach(() => app?.close());

async function boot(limit: SluiceLimitModuleOptions, metadata: ModuleMetadata): Promise<void> {
  app = undefined;
  app = await Test.createTestingModule({ imports: [SluiceTestingModule.forRoot({ limit })], ...metadata }).compile();
  await app.init();
}

/** A class with one method under these decorators, the lowest first. */
function classOf(...decorators: (MethodDecorator | object)[]): Type {
  class Subject {
    async find(): Promise<string> {
      return Promise.resolve('found');
    }
  }
  const descriptor = Object.getOwnPropertyDescriptor(Subject.prototype, 'find') as PropertyDescriptor;
  for (const decorate of decorators) (decorate as MethodDecorator)(Subject.prototype, 'find', descriptor);
  Object.defineProperty(Subject.prototype, 'find', descriptor);
  return Subject;
}
const route = (...decorators: (MethodDecorator | object)[]): ModuleMetadata => {
  const Subject = classOf(...decorators, Get());
  Controller()(Subject);
  return { controllers: [Subject] };
};
const provider = (...decorators: (MethodDecorator | object)[]): ModuleMetadata => {
  const Subject = classOf(...decorators);
  Injectable()(Subject);
  return { providers: [Subject] };
};
const withClass = (decorate: ClassDecorator, metadata: ModuleMetadata): ModuleMetadata => {
  for (const each of [...(metadata.controllers ?? []), ...(metadata.providers ?? [])]) decorate(each as Type);
  return metadata;
};
/** As a decorator of another package that keeps no metadata. */
const forgets: MethodDecorator = (_target, _key, descriptor: PropertyDescriptor) => {
  const original = descriptor.value as (...args: unknown[]) => unknown;
  descriptor.value = function (this: unknown, ...args: unknown[]) {
    return Reflect.apply(original, this, args);
  };
};
const message = (): MethodDecorator => (_target, _key, descriptor: PropertyDescriptor) => {
  Reflect.defineMetadata('microservices:handler_type', 1, descriptor.value as object);
};
/** A field resolver, and a GraphQL module with these options. */
const field = (options: object): ModuleMetadata => {
  const resolves: MethodDecorator = (_target, _key, descriptor: PropertyDescriptor) => {
    Reflect.defineMetadata('graphql:resolve_property', true, descriptor.value as object);
  };
  const { providers = [] } = provider(RateLimit(Login), resolves);
  return { providers: [...providers, { provide: 'GqlModuleOptions', useValue: options }] };
};
/** A resolver that Nest did not construct, in an app with GraphQL. */
const made = (): ModuleMetadata => {
  const resolves: MethodDecorator = (_target, _key, descriptor: PropertyDescriptor) => {
    Reflect.defineMetadata('graphql:resolver_type', 'Query', descriptor.value as object);
  };
  const Subject = classOf(RateLimit(Login), resolves);
  const resolver = { provide: 'resolver', useFactory: () => new Subject() as object };
  return { providers: [resolver, { provide: 'GqlModuleOptions', useValue: {} }] };
};
const withProviders = ({ providers = [] }: ModuleMetadata, ...more: Provider[]): ModuleMetadata => {
  return { providers: [...providers, ...more] };
};
class Sync {
  @RateLimit(Login)
  find(): string {
    return 'found';
  }
}

describe('the boot fails for', () => {
  it.each<[string, SluiceLimitModuleOptions, () => ModuleMetadata, RegExp]>([
    [
      'a function of arguments on a route',
      {},
      () => route(RateLimit(Login, { by: (id: string) => id })),
      /Subject\.find: by is a function of the method's arguments.*fromContext/,
    ],
    [
      'a cost of arguments on a route',
      {},
      () => route(RateLimit(Login, { cost: (n: number) => n })),
      /cost is a function of the method's arguments/,
    ],
    [
      'a context function on a method',
      {},
      () => provider(RateLimit(Login, { by: ofContext })),
      /no route, so its calls have no context. Give by a function of the arguments/,
    ],
    [
      'a cost of the context on a method',
      {},
      () => provider(RateLimit(Login, { cost: fromContext(() => 1) })),
      /Give cost a function of the arguments/,
    ],
    [
      "by: 'ip' on a method",
      {},
      () => provider(RateLimit(Login, { by: 'ip' })),
      /no route, so its calls have no address/,
    ],
    ["by: 'ip' on a message handler", {}, () => provider(RateLimit(Login), message()), /a message has no address/],
    ['a name that is not configured', {}, () => provider(RateLimit('logn')), /no rate limit 'logn' in limit.names/],
    ['two definitions of one name', {}, () => route(RateLimit([Login, OtherLogin])), /'login' has two definitions/],
    ['count with mode: pace', {}, () => route(RateLimit(Paced, { count: 'failures' })), /count is not for 'paced'/],
    [
      'maxWaitMs without mode: pace',
      {},
      () => route(RateLimit(Login, { maxWaitMs: 5 })),
      /maxWaitMs is for limits with mode: 'pace', and 'login' has none/,
    ],
    [
      'a limit that another decorator lost',
      {},
      () => route(RateLimit(Login), forgets),
      /a decorator above it has replaced the method/,
    ],
    [
      'a limit on a class without routes',
      {},
      () => withClass(RateLimit(Login), provider()),
      /@RateLimit on Subject: the class has no routes/,
    ],
    [
      'a skip on a class without routes',
      {},
      () => withClass(SkipRateLimit(), provider()),
      /@SkipRateLimit on Subject: the class has no routes/,
    ],
    [
      'a skip on a method that is no route',
      {},
      () => provider(SkipRateLimit()),
      /Subject.find: the method is no route/,
    ],
    [
      'a skip of a name that is not inherited',
      {},
      () => route(SkipRateLimit('login')),
      /'login' is no limit of the class or of limit.routes; there are none/,
    ],
    [
      'a skip of a wrong name',
      {},
      () => withClass(RateLimit(Login), route(SkipRateLimit('logn'))),
      /'logn' is no limit of the class or of limit.routes; those are 'login'/,
    ],
    ['an unknown limit on a class', {}, () => withClass(RateLimit('logn'), route()), /no rate limit 'logn'/],
    ['an unknown limit of all routes', { routes: 'logn' }, () => route(), /no rate limit 'logn'/],
    ['limits of all routes without a guard', { routes: Login }, () => route(), /no guard enforces it/],
    [
      'a method that returns at once',
      {},
      () => ({ providers: [Sync] }),
      /Sync.find: the method is no route, and returns before/,
    ],
    [
      'a key of the module that is no context function',
      { by: (() => 'x') as never },
      () => route(),
      /limit.by must be 'ip' or fromContext/,
    ],
    ['header fields of another name', { headers: 'ietf' as never }, () => route(), /limit.headers must be one of/],
    [
      'a limit of a GraphQL field that has no guards',
      {},
      () => field({ fieldResolverEnhancers: ['interceptors'] }),
      /Subject.find: the method resolves a field.*fieldResolverEnhancers: \['guards'\]/,
    ],
    [
      'a limit of a resolver that a factory made, which has no guards',
      {},
      made,
      /Subject.find: the resolver is a value or was made by a factory.*Provide the class itself/,
    ],
    ['no limit', { routes: [] }, () => route(), /limit.routes must be a rate limit, its name, or a list/],
  ])('%s', async (_, limit, metadata, text) => {
    const error: unknown = await boot(limit, metadata()).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(SluiceError);
    expect((error as SluiceError).message).toMatch(text);
  });
});

it.each<[string, SluiceLimitModuleOptions, () => ModuleMetadata]>([
  ['a decorator above that keeps no metadata, on a method', {}, () => provider(RateLimit(Login), forgets)],
  [
    'a skip of a limit of all routes',
    { routes: Login },
    () => ({ ...route(SkipRateLimit('login')), providers: [{ provide: APP_GUARD, useClass: RateLimitGuard }] }),
  ],
  ['a limit of a GraphQL field with guards', {}, () => field({ fieldResolverEnhancers: ['guards'] })],
  [
    'a limit of a resolver that a factory made, under a global guard',
    {},
    () => withProviders(made(), { provide: APP_GUARD, useClass: RateLimitGuard }),
  ],
  ['a limit of a resolver that a value is, without GraphQL', {}, () => ({ providers: made().providers!.slice(0, 1) })],
  [
    'another name of a resolver',
    {},
    () => {
      const [Subject, options] = field({ fieldResolverEnhancers: ['guards'] }).providers as [Type, Provider];
      return { providers: [Subject, options, { provide: 'other', useExisting: Subject }] };
    },
  ],
  ['a guard by its class', { routes: Login }, () => ({ ...route(), providers: [RateLimitGuard] })],
  ['limits of all routes in a process without routes', { routes: Login }, () => provider()],
  ['a message handler with a context function', {}, () => provider(RateLimit(Login, { by: ofContext }), message())],
  ['a limit of the class and a key of the module', { by: ofContext }, () => withClass(RateLimit(Login), route())],
])('the boot accepts %s', async (_, limit, metadata) => {
  await expect(boot(limit, metadata())).resolves.toBeUndefined();
});

it.each<[string, () => unknown, string]>([
  ['a static method', () => RateLimit(Login)(Sync, 'find', { value: () => {} }), 'SLUICE_BAD_DECORATION'],
  ['a property', () => RateLimit(Login)({}, 'find', undefined as never), 'SLUICE_BAD_DECORATION'],
  ['a skip on a static method', () => SkipRateLimit()(Sync, 'find', { value: () => {} }), 'SLUICE_BAD_DECORATION'],
  ['a skip of a bad name', () => SkipRateLimit('a.b'), 'SLUICE_BAD_NAME'],
  ['no limits', () => RateLimit([]), 'SLUICE_BAD_OPTION'],
  ['an unknown option', () => RateLimit(Login, { per: 'ip' } as never), 'SLUICE_BAD_OPTION'],
  ['a wrong key', () => RateLimit(Login, { by: 'user' as never }), 'SLUICE_BAD_OPTION'],
  ['a wrong cost', () => RateLimit(Login, { cost: -1 }), 'SLUICE_BAD_OPTION'],
  ['a wrong count', () => RateLimit(Login, { count: 'errors' as never }), 'SLUICE_BAD_OPTION'],
])('the decorator refuses %s when the class is defined', (_, decorate, code) => {
  expect(decorate).toThrow(expect.objectContaining({ code }));
});
