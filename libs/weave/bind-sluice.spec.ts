import 'reflect-metadata';
import { ModuleRef } from '@nestjs/core';
import { Test, type TestingModule } from '@nestjs/testing';
import { afterEach, describe, expect, it } from '@jest/globals';
import { TALLY, Tallied, TallyModule, type TallyService } from '../../test/support/tallied.decorator.js';
import { bindSluice, SluiceError } from './index.js';

const running: TestingModule[] = [];
afterEach(async () => {
  for (const app of running.splice(0)) await app.close();
});

async function boot(): Promise<TestingModule> {
  const app = await Test.createTestingModule({ imports: [TallyModule] }).compile();
  running.push(app);
  return app.init();
}

const callsOf = (app: TestingModule): number => app.get<TallyService>(TALLY).calls.length;

class Importer {
  @Tallied()
  async run(): Promise<string> {
    return 'imported';
  }
}

class CsvImporter extends Importer {}

describe('bindSluice', () => {
  it('binds to the only running app, and returns the object', async () => {
    const app = await boot();
    const importer = new CsvImporter();
    expect(bindSluice(importer)).toBe(importer);
    await expect(importer.run()).resolves.toBe('imported');
    expect(callsOf(app)).toBe(1);
  });

  it('may be repeated', async () => {
    const app = await boot();
    await bindSluice(bindSluice(new Importer())).run();
    expect(callsOf(app)).toBe(1);
  });

  it('leaves an object without decorated methods as it is', async () => {
    await boot();
    const plain = Object.freeze({ a: 1 });
    expect(bindSluice(plain)).toBe(plain);
  });

  it('has the options checked as for one of many objects', async () => {
    const app = await boot();
    bindSluice(new Importer());
    expect(app.get<TallyService>(TALLY).checked).toMatchObject([{ className: 'Importer', scope: 'transient' }]);
  });

  it.each([
    ['the app', (app: TestingModule) => app],
    ['a ModuleRef of it', (app: TestingModule) => app.get(ModuleRef)],
  ])('takes the app that is named by %s', async (_title, name) => {
    const [first, second] = [await boot(), await boot()];
    await bindSluice(new Importer(), name(second)).run();
    expect([callsOf(first), callsOf(second)]).toEqual([0, 1]);
  });

  it('takes a named app that is compiled and not initialised', async () => {
    const app = await Test.createTestingModule({ imports: [TallyModule] }).compile();
    running.push(app);
    await bindSluice(new Importer(), app).run();
    expect(callsOf(app)).toBe(1);
  });

  const codeOf = (bind: () => unknown): string | undefined => {
    try {
      bind();
    } catch (error) {
      if (error instanceof SluiceError) return error.code;
      throw error;
    }
    return undefined;
  };

  it('refuses without a running app, before and after one', async () => {
    expect(codeOf(() => bindSluice(new Importer()))).toBe('SLUICE_NOT_BOUND');
    await (await boot()).close();
    expect(codeOf(() => bindSluice(new Importer()))).toBe('SLUICE_NOT_BOUND');
  });

  it('refuses to choose between two running apps', async () => {
    await boot();
    await boot();
    expect(codeOf(() => bindSluice(new Importer()))).toBe('SLUICE_AMBIGUOUS_APP');
  });

  it('refuses an app without Sluice', async () => {
    const app = await Test.createTestingModule({}).compile();
    expect(codeOf(() => bindSluice(new Importer(), app))).toBe('SLUICE_NOT_BOUND');
  });

  it('refuses an object that works for another running app', async () => {
    const [first, second] = [await boot(), await boot()];
    const importer = bindSluice(new Importer(), first);
    expect(codeOf(() => bindSluice(importer, second))).toBe('SLUICE_BOUND_TWICE');
    await first.close();
    await bindSluice(importer, second).run();
    expect([callsOf(first), callsOf(second)]).toEqual([0, 1]);
  });
});
