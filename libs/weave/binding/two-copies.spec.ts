import 'reflect-metadata';
import { Injectable } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { jest } from '@jest/globals';
import { beforeAll, describe, expect, it } from '@jest/globals';
import { TALLY, Tallied, TallyModule, type TallyService } from '../../../test/support/tallied.decorator.js';
import * as ours from '../index.js';

describe('two copies of the package in one process, as ESM beside CommonJS', () => {
  let theirs: typeof ours;
  let TheirTallied: typeof Tallied;
  beforeAll(async () => {
    await jest.isolateModulesAsync(async () => {
      theirs = await import('../index.js');
      ({ Tallied: TheirTallied } = await import('../../../test/support/tallied.decorator.js'));
    });
    expect(theirs.weaveMethod).not.toBe(ours.weaveMethod);
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
