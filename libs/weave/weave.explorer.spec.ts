import 'reflect-metadata';
import { Inject, Injectable, Module, type OnModuleInit, Scope, type Type } from '@nestjs/common';
import { Test, type TestingModule } from '@nestjs/testing';
import { afterEach, describe, expect, it } from '@jest/globals';
import { TALLY, Tallied, TallyModule, type TallyService } from '../../test/support/tallied.decorator.js';
import { SluiceError, WeaveModule, type WovenSite } from './index.js';

type Metadata = Parameters<typeof Test.createTestingModule>[0];

const running: TestingModule[] = [];
afterEach(async () => {
  for (const app of running.splice(0)) await app.close();
});

/** A booted app with the tally; closed after the test. */
async function boot(metadata: Metadata): Promise<TestingModule> {
  const app = await Test.createTestingModule({
    ...metadata,
    imports: [TallyModule, ...(metadata.imports ?? [])],
  }).compile();
  running.push(app);
  return app.init();
}

const tallyOf = (app: TestingModule): TallyService => app.get<TallyService>(TALLY);
const codeOf = (outcome: Promise<unknown>): Promise<unknown> =>
  outcome.then(
    () => 'resolved',
    (error: unknown) => (error instanceof SluiceError ? error.code : error),
  );

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
    const app = await boot({ providers: [provider, ...alias] });
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
    const app = await boot({
      providers: [Reader, { provide: Ledger, scope: Scope.TRANSIENT, useFactory: () => new Ledger(String(++made)) }],
    });
    await expect(app.get(Reader).ledger.entry()).resolves.toBe('1');
    expect(tallyOf(app).checked.map(({ scope }) => scope)).toEqual(['transient']);
  });

  it('may be called by the init hooks of the app', async () => {
    let entry: string | undefined;
    @Injectable()
    class Opener implements OnModuleInit {
      constructor(@Inject(Ledger) private readonly ledger: Ledger) {}
      async onModuleInit(): Promise<void> {
        entry = await this.ledger.entry();
      }
    }
    await boot({ providers: [Opener, { provide: Ledger, useValue: new Ledger('early') }] });
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

describe('one object in two apps', () => {
  it.each([
    ['a plain one', (ledger: Ledger) => ledger],
    ['a frozen one', (ledger: Ledger) => Object.freeze(ledger)],
  ])('is refused while both run, and free once the first is closed: %s', async (_title, prepare) => {
    const providers = [{ provide: Ledger, useValue: prepare(new Ledger('shared')) }];
    const first = await boot({ providers });
    expect(await codeOf(boot({ providers }))).toBe('SLUICE_BOUND_TWICE');
    await expect(first.get(Ledger).entry()).resolves.toBe('shared');
    expect(tallyOf(first).calls).toHaveLength(1);

    await first.close();
    const next = await boot({ providers });
    await next.get(Ledger).entry();
    expect([tallyOf(first).calls.length, tallyOf(next).calls.length]).toEqual([1, 1]);
  });

  it('frozen in between, is still bound anew', async () => {
    const ledger = new Ledger('shared');
    const first = await boot({ providers: [{ provide: Ledger, useValue: ledger }] });
    await first.close();
    Object.freeze(ledger);
    const next = await boot({ providers: [{ provide: Ledger, useValue: ledger }] });
    await ledger.entry();
    expect(tallyOf(next).calls).toHaveLength(1);
  });

  it('constructed by the first and passed to the second as a value, is refused', async () => {
    @Injectable()
    class Till {
      @Tallied()
      async open(): Promise<string> {
        return 'open';
      }
    }
    const first = await boot({ providers: [Till] });
    const providers = [{ provide: Till, useValue: first.get(Till) }];
    expect(await codeOf(boot({ providers }))).toBe('SLUICE_BOUND_TWICE');
  });

  it('is free again after a boot that a check made fail', async () => {
    const ledger = new Ledger('shared');
    class Picky {
      @Tallied('key', () => {
        throw new SluiceError('SLUICE_BAD_OPTION', 'no');
      })
      async never(): Promise<string> {
        return 'never';
      }
    }
    const values = [
      { provide: Ledger, useValue: ledger },
      { provide: Picky, useValue: new Picky() },
    ];
    const failed = await Test.createTestingModule({ imports: [TallyModule], providers: values }).compile();
    expect(await codeOf(failed.init())).toBe('SLUICE_BAD_OPTION');

    const next = await boot({ providers: values.slice(0, 1) });
    await ledger.entry();
    expect(tallyOf(next).calls).toHaveLength(1);
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
    const app = await boot({ providers: [{ provide: Derived, useClass: Derived, scope }] });
    expect(tallyOf(app).checked.map(summary).sort()).toEqual([
      `Derived.inherited of Base, ${shown}`,
      `Derived.overridden of Base, ${shown}`,
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
    const app = await boot({ providers: [Tenant, Reports] });
    expect(tallyOf(app).checked.map(summary)).toEqual(['Reports.read of Reports, request, no instance']);
  });

  it('runs once per provider, however many modules import the explorer and whatever aliases exist', async () => {
    @Module({ imports: [WeaveModule] })
    class FirstFeature {}
    @Module({ imports: [WeaveModule] })
    class SecondFeature {}
    const app = await boot({
      imports: [FirstFeature, SecondFeature],
      providers: [
        { provide: 'a', useFactory: () => new Ledger('a') },
        { provide: 'b', useFactory: () => new Ledger('b') },
        { provide: 'again', useExisting: 'a' },
        { provide: 'same', useFactory: (a: Ledger) => a, inject: ['a'] },
      ],
    });
    expect(tallyOf(app).checked.map(({ instance }) => (instance as Ledger).label)).toEqual(['a', 'b']);
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
    const app = await Test.createTestingModule({ imports: [TallyModule], providers: [Wrong as Type] }).compile();
    await expect(app.init()).rejects.toBe(refusal);
  });
});
