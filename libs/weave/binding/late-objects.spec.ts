import {
  Global,
  Inject,
  Injectable,
  Module,
  Scope,
  type OnApplicationShutdown,
  type OnModuleInit,
} from '@nestjs/common';
import { LazyModuleLoader, ModuleRef } from '@nestjs/core';
import { Test } from '@nestjs/testing';
import { afterEach, describe, expect, it } from '@jest/globals';
import { bootApp, closeApps, compileApp, tallyOf } from '../../../test/support/tallied.app.js';
import { Tallied, TallyModule } from '../../../test/support/tallied.decorator.js';
import { bindSluice, SluiceError, type WovenSite } from '../index.js';
import { processState } from './process-state.js';

afterEach(closeApps);

const refuseMany = ({ scope }: WovenSite): void => {
  if (scope !== 'singleton') throw new SluiceError('SLUICE_TEST', `for one object, not for ${scope} ones`);
};

@Injectable()
class Repo {
  runs = 0;

  @Tallied('x', refuseMany)
  async find(): Promise<number> {
    return ++this.runs;
  }
}

@Injectable()
class Anywhere {
  @Tallied('x')
  async find(): Promise<string> {
    return 'found';
  }
}

describe('an object that is made after the boot', () => {
  it.each([
    ['of a class that the app provides', [Repo]],
    ['of a class that the app does not know', []],
  ])('passes the checks of the boot at its first call: %s', async (_name, providers) => {
    const app = await bootApp({ providers });
    for (const made of [await app.get(ModuleRef).create(Repo), await app.get(ModuleRef).create(Repo)]) {
      for (let call = 0; call < 2; call++) {
        await expect(made.find()).rejects.toMatchObject({ code: 'SLUICE_TEST', message: /transient/ });
      }
      expect(made.runs).toBe(0);
    }
  });

  it('runs when they allow it, and is checked once', async () => {
    const app = await bootApp();
    const made = await app.get(ModuleRef).create(Anywhere);
    for (let call = 0; call < 3; call++) await made.find();
    await (await app.get(ModuleRef).create(Anywhere)).find();
    expect(tallyOf(app).checked).toMatchObject([{ className: 'Anywhere', scope: 'transient' }]);
  });

  it('is not checked again as a request-scoped provider', async () => {
    @Injectable({ scope: Scope.REQUEST })
    class Scoped extends Anywhere {}
    const app = await bootApp({ providers: [Scoped] });
    await (await app.resolve(Scoped)).find();
    await (await app.resolve(Scoped)).find();
    expect(tallyOf(app).checked).toMatchObject([{ className: 'Scoped', scope: 'request' }]);
  });

  it('counts as a provider when its module was loaded late', async () => {
    @Module({ providers: [Repo] })
    class Late {}
    const app = await bootApp();
    const late = await app.get(LazyModuleLoader).load(() => Late);
    expect(await late.get(Repo).find()).toBe(1);
    expect(tallyOf(app).checked).toMatchObject([{ className: 'Repo', scope: 'singleton' }]);
  });

  it('is not judged before the app has looked at its providers', async () => {
    const app = await compileApp({ providers: [Repo] });
    expect(await app.get(Repo).find()).toBe(1);
  });
});

class Ledger {
  @Tallied()
  async entry(): Promise<string> {
    return 'entry';
  }
}

describe('an app whose boot failed elsewhere', () => {
  @Injectable()
  class Failing implements OnModuleInit {
    onModuleInit(): void {
      throw new Error('db down');
    }
  }

  it('keeps no object from the next try', async () => {
    const ledger = new Ledger();
    const providers = [{ provide: Ledger, useValue: ledger }];
    for (let attempt = 0; attempt < 3; attempt++) {
      const failed = await compileApp({ providers: [...providers, Failing] });
      await expect(failed.init()).rejects.toThrow('db down');
    }
    const app = await bootApp({ providers });
    await ledger.entry();
    expect(tallyOf(app).calls).toHaveLength(1);
    expect(await bindSluice(new Ledger()).entry()).toBe('entry');
    // The failed apps are not kept in memory either.
    expect(processState.apps.size).toBe(1);
    expect(tallyOf(app).calls).toHaveLength(2);
  });

  it('fails when the other of two apps that boot side by side took its object', async () => {
    const providers = [{ provide: Ledger, useValue: new Ledger() }];
    const boots = [await compileApp({ providers }), await compileApp({ providers })];
    const settled = await Promise.allSettled(boots.map((app) => app.init()));
    expect(settled.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
    await Promise.all(boots.map((app) => app.close()));
  });
});

describe('a global module of the app, imported first', () => {
  it('has its objects bound before its first hook', async () => {
    const said: string[] = [];
    @Injectable()
    class Opener implements OnModuleInit, OnApplicationShutdown {
      constructor(@Inject(Ledger) private readonly ledger: Ledger) {}
      async onModuleInit(): Promise<void> {
        said.push(await this.ledger.entry());
      }
      async onApplicationShutdown(): Promise<void> {
        said.push(await this.ledger.entry());
      }
    }
    @Global()
    @Module({ providers: [Opener, { provide: Ledger, useFactory: () => new Ledger() }] })
    class Database {}
    const app = await Test.createTestingModule({ imports: [Database, TallyModule] }).compile();
    await app.init();
    await app.close();
    expect(said).toEqual(['entry', 'entry']);
  });
});

describe('a provider that refuses to be looked at', () => {
  it('does not fail the boot', async () => {
    const hostile = new Proxy(
      {},
      {
        getPrototypeOf: () => {
          throw new Error('not yours to see');
        },
      },
    );
    await expect(bootApp({ providers: [{ provide: 'hostile', useFactory: () => hostile }] })).resolves.toBeDefined();
  });

  it('that says it is a plain object, as PrismaClient does, is bound', async () => {
    const masked = new Proxy(new Ledger(), { getPrototypeOf: () => Object.prototype });
    const app = await bootApp({ providers: [{ provide: Ledger, useFactory: () => masked }] });
    await expect(app.get(Ledger).entry()).resolves.toBe('entry');
  });
});
