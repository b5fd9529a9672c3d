import 'reflect-metadata';
import { ModuleRef } from '@nestjs/core';
import { Test, type TestingModule } from '@nestjs/testing';
import { afterEach, describe, expect, it } from '@jest/globals';
import { bootApp, closeApps, compileApp, tallyOf } from '../../../test/support/tallied.app.js';
import { Tallied } from '../../../test/support/tallied.decorator.js';
import { bindSluice, SluiceError } from '../index.js';

afterEach(closeApps);

const callsOf = (app: TestingModule): number => tallyOf(app).calls.length;

class Importer {
  @Tallied()
  async run(): Promise<string> {
    return 'imported';
  }
}

class CsvImporter extends Importer {}

describe('bindSluice', () => {
  it('binds to the only running app, and returns the object', async () => {
    const app = await bootApp();
    const importer = new CsvImporter();
    expect(bindSluice(importer)).toBe(importer);
    await expect(importer.run()).resolves.toBe('imported');
    expect(callsOf(app)).toBe(1);
  });

  it('may be repeated', async () => {
    const app = await bootApp();
    await bindSluice(bindSluice(new Importer())).run();
    expect(callsOf(app)).toBe(1);
  });

  it('is seen through a Proxy that wraps whatever it hands out', async () => {
    const wrapping = <T extends object>(object: T): T =>
      new Proxy(object, {
        get(target, key, receiver) {
          const value: unknown = Reflect.get(target, key, receiver);
          return typeof value === 'object' && value !== null ? wrapping(value) : value;
        },
      });
    await bootApp();
    await expect(wrapping(bindSluice(new Importer())).run()).resolves.toBe('imported');
  });

  it('leaves the object alone that a bound one inherits from', async () => {
    const [first, second] = [await bootApp(), await bootApp()];
    const parent = bindSluice(new Importer(), first);
    await first.close();
    const heir = bindSluice(Object.create(parent) as Importer, second);
    await heir.run();
    await parent.run();
    expect([callsOf(first), callsOf(second)]).toEqual([1, 1]);
  });

  it('leaves an object without decorated methods as it is', async () => {
    await bootApp();
    const plain = Object.freeze({ a: 1 });
    expect(bindSluice(plain)).toBe(plain);
  });

  it('has the options checked as for one of many objects', async () => {
    const app = await bootApp();
    bindSluice(new Importer());
    expect(tallyOf(app).checked).toMatchObject([{ className: 'Importer', scope: 'transient' }]);
  });

  it.each([
    ['the app', (app: TestingModule) => app],
    ['a ModuleRef of it', (app: TestingModule) => app.get(ModuleRef)],
  ])('takes the app that is named by %s', async (_title, name) => {
    const [first, second] = [await bootApp(), await bootApp()];
    await bindSluice(new Importer(), name(second)).run();
    expect([callsOf(first), callsOf(second)]).toEqual([0, 1]);
  });

  it('takes a named app that is compiled and not initialised', async () => {
    const app = await compileApp();
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
    await (await bootApp()).close();
    expect(codeOf(() => bindSluice(new Importer()))).toBe('SLUICE_NOT_BOUND');
  });

  it('refuses to choose between two running apps', async () => {
    await bootApp();
    await bootApp();
    expect(codeOf(() => bindSluice(new Importer()))).toBe('SLUICE_AMBIGUOUS_APP');
  });

  it('refuses an app without Sluice', async () => {
    const app = await Test.createTestingModule({}).compile();
    expect(codeOf(() => bindSluice(new Importer(), app))).toBe('SLUICE_NOT_BOUND');
  });

  it('refuses an object that works for another running app', async () => {
    const [first, second] = [await bootApp(), await bootApp()];
    const importer = bindSluice(new Importer(), first);
    expect(codeOf(() => bindSluice(importer, second))).toBe('SLUICE_BOUND_TWICE');
    await first.close();
    await bindSluice(importer, second).run();
    expect([callsOf(first), callsOf(second)]).toEqual([0, 1]);
  });
});
