import { describe, expect, it } from '@jest/globals';
import type { WovenSite } from '../../weave/index.js';
import { DefaultKeys } from './default-keys.js';

const keys = new DefaultKeys('shop');
const check = (className: string, method = 'find'): (() => void) => {
  const site = { targetClass: Object, className, method, scope: 'singleton', instance: {} };
  return () => {
    keys.check(site as unknown as WovenSite);
  };
};
const required = (message: string): unknown =>
  expect.objectContaining({ code: 'SLUICE_CACHE_KEY_REQUIRED', message: expect.stringContaining(message) });

describe('default keys', () => {
  it.each(['t', 'Cp', 'aB1', 'default_1', 'class_2', '_class'])(
    'are refused for the class name %s, which another build may give to another class',
    (className) => {
      expect(check(className)).toThrow(required(`the class name '${className}'`));
    },
  );

  it('are refused for a method named by a symbol: two symbols may have one description', () => {
    expect(check('Catalog', String(Symbol('find')))).toThrow(required('symbols'));
  });

  it('are accepted for a class with a name of its own', () => {
    expect(check('Shop')).not.toThrow();
    expect(check('ClassRegister')).not.toThrow();
  });
});
