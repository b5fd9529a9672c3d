import 'reflect-metadata';
import { Injectable } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { describe, expect, it } from '@jest/globals';
import { secondCopy } from '../../../test/support/loaded-sources.js';
import { TALLY, Tallied, TallyModule, type TallyService } from '../../../test/support/tallied.decorator.js';
import * as ours from '../index.js';

describe('two copies of the package in one process, as ESM beside CommonJS', () => {
  const load = secondCopy();
  const theirs = load(new URL('../index.ts', import.meta.url)) as typeof ours;
  const { Tallied: TheirTallied } = load(new URL('../../../test/support/tallied.decorator.ts', import.meta.url)) as {
    Tallied: typeof Tallied;
  };

  it('they share nothing', () => {
    expect(theirs.weaveMethod).not.toBe(ours.weaveMethod);
    expect(TheirTallied).not.toBe(Tallied);
  });

  it('the app of one serves what the other decorated and bound', async () => {
    @Injectable()
    class Shop {
      @TheirTallied()
      async open(): Promise<string> {
        return 'open';
      }
    }
    const app = await Test.createTestingModule({
      imports: [TallyModule],
      providers: [Shop, { provide: 'value', useValue: Object.freeze(new Shop()) }],
    }).compile();
    await app.init();
    const shops = [app.get(Shop), app.get<Shop>('value'), theirs.bindSluice(new Shop())];
    for (const shop of shops) await expect(shop.open()).resolves.toBe('open');
    expect(app.get<TallyService>(TALLY).calls).toHaveLength(3);
    await app.close();
    expect(() => theirs.bindSluice(new Shop())).toThrow('no app');
  });

  it('each knows the errors of the other', () => {
    expect(theirs.isSluiceError(new ours.SluiceError('SLUICE_X', 'x'), 'SLUICE_X')).toBe(true);
    expect(new ours.SluiceError('SLUICE_X', 'x')).not.toBeInstanceOf(theirs.SluiceError);
  });
});
