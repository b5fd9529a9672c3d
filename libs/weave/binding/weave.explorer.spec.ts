import 'reflect-metadata';
import {
  Controller,
  Inject,
  Injectable,
  Module,
  type NestApplicationOptions,
  type OnModuleInit,
  type Provider,
  Scope,
  type Type,
} from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { Test } from '@nestjs/testing';
import { afterEach, describe, expect, it } from '@jest/globals';
import { bootApp, closeApps, compileApp, tallyOf } from '../../../test/support/tallied.app.js';
import { TALLY, Tallied, TallyModule, type TallyService } from '../../../test/support/tallied.decorator.js';
import { brandService, injectedProvider, SluiceError, weaveMethod, WeaveModule, type WovenSite } from '../index.js';

afterEach(closeApps);

class Ledger {
  constructor(readonly label: string) {}

  @Tallied()
  async entry(): Promise<string> {
    return this.label;
  }
}

describe('objects that Nest did not construct', () => {
  it.each([
    ['a value', { provide: Ledger, useValue: new Ledger('x') }],
    ['a frozen value', { provide: Ledger, useValue: Object.freeze(new Ledger('x')) }],
    ['what a factory returned', { provide: Ledger, useFactory: () => new Ledger('x') }],
    ['what an async factory returned', { provide: Ledger, useFactory: async () => new Ledger('x') }],
    ['a value under another token, aliased', { provide: 'ledger', useValue: new Ledger('x') }],
  ])('%s is bound while the app boots', async (_title, provider) => {
    const alias = provider.provide === 'ledger' ? [{ provide: Ledger, useExisting: 'ledger' }] : [];
    const app = await bootApp({ providers: [provider, ...alias] });
    await expect(app.get(Ledger).entry()).resolves.toBe('x');
    expect(tallyOf(app).calls).toHaveLength(1);
    expect(tallyOf(app).checked).toHaveLength(1);
    expect(Object.keys(app.get(Ledger))).toEqual(['label']);
  });

  it('what a transient factory made for each consumer is bound', async () => {
    @Injectable()
    class Reader {
      constructor(@Inject(Ledger) readonly ledger: Ledger) {}
    }
    let made = 0;
    const app = await bootApp({
      providers: [Reader, { provide: Ledger, scope: Scope.TRANSIENT, useFactory: () => new Ledger(String(++made)) }],
    });
    await expect(app.get(Reader).ledger.entry()).resolves.toBe('1');
    expect(tallyOf(app).checked.map(({ scope }) => scope)).toEqual(['transient']);
  });

  it('is bound to each service that its methods need, frozen or not', async () => {
    const OTHER = 'test:other';
    const Twice = () =>
      weaveMethod({ decorator: '@Twice', token: OTHER }, async (_other, call) => {
        return `${String(await call.proceed())} ${String(await call.proceed())}`;
      });
    class Book extends Ledger {
      @Twice()
      async title(): Promise<string> {
        return this.label;
      }
    }
    const app = await bootApp({
      providers: [
        { provide: OTHER, useValue: brandService({}, OTHER) },
        injectedProvider(OTHER),
        { provide: Book, useValue: Object.freeze(new Book('x')) },
      ],
    });
    await expect(app.get(Book).title()).resolves.toBe('x x');
    await expect(app.get(Book).entry()).resolves.toBe('x');
  });

  it('are told from values of every other kind', async () => {
    const values = [undefined, null, 'text', 7, () => 'called', Ledger, [], Object.create(null)];
    await bootApp({ providers: values.map((useValue: unknown, index) => ({ provide: `value ${index}`, useValue })) });
  });

  it('may be called by the init hooks of the app, however deep the module', async () => {
    let entry: string | undefined;
    @Injectable()
    class Opener implements OnModuleInit {
      constructor(@Inject(Ledger) private readonly ledger: Ledger) {}
      async onModuleInit(): Promise<void> {
        entry = await this.ledger.entry();
      }
    }
    @Module({ providers: [Opener, { provide: Ledger, useValue: new Ledger('early') }] })
    class Deepest {}
    @Module({ imports: [Deepest] })
    class Deeper {}
    @Module({ imports: [Deeper] })
    class Deep {}
    await bootApp({ imports: [Deep] });
    expect(entry).toBe('early');
  });

  it('fail the boot of an app that does not provide the service', async () => {
    const app = await Test.createTestingModule({
      imports: [WeaveModule],
      providers: [{ provide: Ledger, useValue: new Ledger('x') }],
    }).compile();
    await expect(app.init()).rejects.toMatchObject({
      code: 'SLUICE_NOT_BOUND',
      message: expect.stringMatching(/^Ledger\.entry \(@Tallied\) needs the service 'test:tally'/),
    });
  });

  it('fail the boot of an app that provides a mock of the service', async () => {
    const app = await Test.createTestingModule({
      imports: [TallyModule],
      providers: [{ provide: Ledger, useValue: new Ledger('x') }],
    })
      .overrideProvider(TALLY)
      .useValue({ take: async () => 'mocked' })
      .compile();
    await expect(app.init()).rejects.toMatchObject({ code: 'SLUICE_NOT_BOUND' });
  });
});

describe('the check of a decorated method', () => {
  abstract class Base {
    @Tallied()
    async inherited(): Promise<string> {
      return 'inherited';
    }

    @Tallied()
    async overridden(): Promise<string> {
      return 'base';
    }
  }

  @Injectable()
  class Derived extends Base {
    override async overridden(): Promise<string> {
      return `derived from ${await super.overridden()}`;
    }
  }

  const summary = (site: WovenSite): string =>
    `${site.className}.${site.method} of ${site.declaredBy.name}, ${site.scope}${site.instance ? '' : ', no instance'}`;

  it.each([
    [Scope.DEFAULT, 'singleton'],
    [Scope.REQUEST, 'request, no instance'],
    [Scope.TRANSIENT, 'transient, no instance'],
  ])('sees the provider and its scope (%s)', async (scope, shown) => {
    const app = await bootApp({ providers: [{ provide: Derived, useClass: Derived, scope }] });
    expect(tallyOf(app).checked.map(summary).sort()).toEqual([
      `Derived.inherited of Base, ${shown}`,
      `Derived.overridden of Base, ${shown}`,
    ]);
  });

  it('sees controllers', async () => {
    @Controller()
    class Till extends Derived {}
    const app = await bootApp({ controllers: [Till] });
    expect(tallyOf(app).checked.map(summary)).toContain('Till.inherited of Base, singleton');
  });

  it('sees an override and what it overrides, each once', async () => {
    @Injectable()
    class Again extends Base {
      @Tallied()
      override async overridden(): Promise<string> {
        return `again ${await super.overridden()}`;
      }
    }
    const app = await bootApp({ providers: [Again] });
    expect(tallyOf(app).checked.map(summary).sort()).toEqual([
      'Again.inherited of Base, singleton',
      'Again.overridden of Again, singleton',
      'Again.overridden of Base, singleton',
    ]);
  });

  it('sees a singleton that depends on a request-scoped provider as request-scoped', async () => {
    @Injectable({ scope: Scope.REQUEST })
    class Tenant {
      readonly name = 'tenant';
    }
    @Injectable()
    class Reports {
      constructor(@Inject(Tenant) readonly tenant: Tenant) {}
      @Tallied()
      async read(): Promise<string> {
        return this.tenant.name;
      }
    }
    const app = await bootApp({ providers: [Tenant, Reports] });
    expect(tallyOf(app).checked.map(summary)).toEqual(['Reports.read of Reports, request, no instance']);
  });

  const passedOn: Provider = { provide: 'passed on', useFactory: (derived: Derived) => derived, inject: [Derived] };

  it.each([
    ['after', [Derived, passedOn]],
    ['before', [passedOn, Derived]],
  ])('runs once per object, however many modules import the explorer (%s)', async (_order, providers) => {
    @Module({ imports: [WeaveModule] })
    class FirstFeature {}
    @Module({ imports: [WeaveModule] })
    class SecondFeature {}
    const app = await bootApp({
      imports: [FirstFeature, SecondFeature],
      providers: [
        { provide: 'a', useFactory: () => new Ledger('a') },
        { provide: 'b', useFactory: () => new Ledger('b') },
        { provide: 'again', useFactory: (a: Ledger) => a, inject: ['a'] },
        ...providers,
      ],
    });
    expect(tallyOf(app).checked.map(summary).sort()).toEqual([
      'Derived.inherited of Base, singleton',
      'Derived.overridden of Base, singleton',
      'Ledger.entry of Ledger, singleton',
      'Ledger.entry of Ledger, singleton',
    ]);
  });

  it('passes by aliases, which an instanceDecorator makes objects of their own', async () => {
    @Module({
      imports: [TallyModule],
      providers: [Derived, { provide: 'alias', useExisting: Derived }],
    })
    class AliasModule {}
    const instanceDecorator = (instance: unknown): unknown =>
      instance instanceof Derived ? new Proxy(instance, {}) : instance;
    const options: Readonly<NestApplicationOptions> = { logger: false, instrument: { instanceDecorator } };
    const app = await NestFactory.createApplicationContext(AliasModule, options);
    expect(app.get('alias')).not.toBe(app.get(Derived));
    expect(app.get<TallyService>(TALLY).checked).toHaveLength(2);
    await app.close();
  });

  it('fails the boot with what it throws', async () => {
    const refusal = new SluiceError('SLUICE_BAD_OPTION', 'ttlMs must be positive');
    @Injectable()
    class Wrong {
      @Tallied('key', () => {
        throw refusal;
      })
      async never(): Promise<string> {
        return 'never';
      }
    }
    const app = await compileApp({ providers: [Wrong as Type] });
    await expect(app.init()).rejects.toBe(refusal);
  });

  it('refuses a method whose decorator was called without its result being written back', async () => {
    class Forgetful {
      async entry(): Promise<string> {
        return Promise.resolve('unprotected');
      }
    }
    const decorate = Tallied() as MethodDecorator;
    const descriptor = Object.getOwnPropertyDescriptor(Forgetful.prototype, 'entry')!;
    decorate(Forgetful.prototype, 'entry', descriptor);
    await expect(bootApp({ providers: [Forgetful] })).rejects.toMatchObject({
      code: 'SLUICE_BAD_DECORATION',
      message: expect.stringContaining('@Tallied on Forgetful.entry protects nothing') as unknown,
    });
    Object.defineProperty(Forgetful.prototype, 'entry', descriptor);
    const app = await bootApp({ providers: [Forgetful] });
    await app.get(Forgetful).entry();
    expect(tallyOf(app).calls).toHaveLength(1);
  });
});
