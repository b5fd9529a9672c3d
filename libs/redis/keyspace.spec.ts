import { describe, expect, it } from '@jest/globals';
import { Keyspace, checkKey } from './keyspace.js';

describe('Keyspace', () => {
  const plain = new Keyspace();
  const shop = new Keyspace('shop');

  it.each([
    [plain.main('lock', 'lock:', 'daily'), 'lock:daily'],
    [shop.main('lock', 'lock:', 'daily'), 'shop:lock:daily'],
    [plain.main('stream', '', 'tasks'), 'tasks'],
    [shop.main('stream', '', 'tasks'), 'shop:tasks'],
    [shop.main('stream', '', '{eu}:tasks'), 'shop:{eu}:tasks'],
    [plain.side('tasks', 'dead'), '{tasks}:~dead'],
    [shop.side('shop:tasks', 'dead'), '{shop:tasks}:~dead'],
    [shop.side('shop:{eu}:tasks', 'dead'), 'shop:{eu}:tasks:~dead'],
    [plain.tag('cache'), '{cache}'],
    [shop.tag('cache'), '{shop:cache}'],
  ])('builds %s', (built, wanted) => {
    expect(built).toBe(wanted);
  });

  it('puts the database index into channels, which pub/sub ignores', () => {
    expect(shop.channel('inbox:1', 0)).not.toBe(shop.channel('inbox:1', 1));
    expect(plain.channel('inbox:1', 0)).not.toBe(shop.channel('inbox:1', 0));
  });

  it.each([
    ['', 'a non-empty string'],
    [undefined, 'got undefined'],
    [7, 'got 7'],
    ['a:~b', 'reserved marker'],
    ['a{', 'braces'],
    ['a}b', 'braces'],
    ['{}', 'braces'],
    ['{a}{b}', 'braces'],
    ['{a{b}}', 'braces'],
    ['}a{', 'braces'],
  ])('refuses the name %p', (name, why) => {
    expect(() => plain.main('lock', 'lock:', name)).toThrow(
      expect.objectContaining({ code: 'SLUICE_BAD_NAME', message: expect.stringContaining(why) }),
    );
  });

  it.each(['', 'a{b}', 'a:~b', 7 as never])('refuses the namespace %p', (namespace) => {
    expect(() => new Keyspace(namespace)).toThrow(expect.objectContaining({ code: 'SLUICE_BAD_NAME' }));
  });

  it('takes any non-empty text as a cache key', () => {
    expect(checkKey('{}:~ }{')).toBe('{}:~ }{');
    expect(checkKey('\u{1F600}')).toBe('\u{1F600}');
    for (const key of ['', undefined, null, 0, {}, 'a\ud800', '\udc00']) {
      expect(() => checkKey(key)).toThrow(expect.objectContaining({ code: 'SLUICE_BAD_NAME' }));
    }
  });
});
