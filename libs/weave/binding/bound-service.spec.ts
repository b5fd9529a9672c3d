import 'reflect-metadata';
import { Injectable } from '@nestjs/common';
import { afterEach, describe, expect, it } from '@jest/globals';
import { bootApp, closeApps, compileApp, tallyOf } from '../../../test/support/tallied.app.js';
import { Tallied } from '../../../test/support/tallied.decorator.js';
import { SluiceError } from '../index.js';

afterEach(closeApps);

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

describe('one object in two apps', () => {
  it.each([
    ['a plain one', (ledger: Ledger) => ledger],
    ['a frozen one', (ledger: Ledger) => Object.freeze(ledger)],
  ])('is refused while both run, and free once the first is closed: %s', async (_title, prepare) => {
    const providers = [{ provide: Ledger, useValue: prepare(new Ledger('shared')) }];
    const first = await bootApp({ providers });
    expect(await codeOf(bootApp({ providers }))).toBe('SLUICE_BOUND_TWICE');
    await expect(first.get(Ledger).entry()).resolves.toBe('shared');
    expect(tallyOf(first).calls).toHaveLength(1);

    await first.close();
    const next = await bootApp({ providers });
    await next.get(Ledger).entry();
    expect([tallyOf(first).calls.length, tallyOf(next).calls.length]).toEqual([1, 1]);
  });

  it('frozen in between, is still bound anew', async () => {
    const ledger = new Ledger('shared');
    const first = await bootApp({ providers: [{ provide: Ledger, useValue: ledger }] });
    await first.close();
    Object.freeze(ledger);
    const next = await bootApp({ providers: [{ provide: Ledger, useValue: ledger }] });
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
    const first = await bootApp({ providers: [Till] });
    const providers = [{ provide: Till, useValue: first.get(Till) }];
    expect(await codeOf(bootApp({ providers }))).toBe('SLUICE_BOUND_TWICE');
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
    const failed = await compileApp({ providers: values });
    expect(await codeOf(failed.init())).toBe('SLUICE_BAD_OPTION');

    const next = await bootApp({ providers: values.slice(0, 1) });
    await ledger.entry();
    expect(tallyOf(next).calls).toHaveLength(1);
  });
});
