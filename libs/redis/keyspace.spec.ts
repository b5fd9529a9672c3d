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
    ['a\ud800', 'lone surrogates'],
    ['\udc00\ud800', 'lone surrogates'],
    ['a'.repeat(1_025), 'at most 1024 bytes'],
    ['ü'.repeat(513), 'at most 1024 bytes'],
  ])('refuses the name %p', (name, why) => {
    expect(() => plain.main('lock', 'lock:', name)).toThrow(
      expect.objectContaining({ code: 'SLUICE_BAD_NAME', message: expect.stringContaining(why) }),
    );
  });

  it('takes a name of 1,024 bytes, and a pair of surrogates', () => {
    expect(plain.main('queue', '', 'ü'.repeat(512))).toBe('ü'.repeat(512));
    expect(plain.main('lock', 'lock:', '\u{1F600}')).toBe('lock:\u{1F600}');
  });

  it.each(['lock:pay', 'lock:', '{cache}:user:7', '{shop:cache}', 'a{x:cache}b', '{rl:x}:api', '{shop:rl:x}:api'])(
    'refuses %p, a key of another kind, as the name of a queue and as a plain key',
    (name) => {
      for (const build of [
        (): string => plain.main('queue', '', name),
        (): string => shop.main('cache', '', name),
        (): string => plain.literal('fenced key', name),
      ]) {
        expect(build).toThrow(
          expect.objectContaining({ code: 'SLUICE_BAD_NAME', message: expect.stringContaining("Sluice's own") }),
        );
      }
      expect(plain.main('lock', 'lock:', name)).toBe(`lock:${name}`);
    },
  );

  it('takes names that only look like such keys', () => {
    for (const name of [
      'lock',
      'locks:a',
      'a:lock:b',
      'cache',
      '{caches}',
      '{precache}',
      '{cache:x}',
      '{rl}',
      '{rls:x}',
      '{a:b:rl:x}',
    ]) {
      expect(plain.main('queue', '', name)).toBe(name);
    }
  });

  it('leaves literal keys without the namespace, and refuses those of its locks and side keys', () => {
    expect(shop.literal('fenced key', 'shop:balance')).toBe('shop:balance');
    for (const key of ['shop:lock:pay', 'lock:pay', '{shop:lock:pay}:~fence', '{shop:cache}:a', '', 7]) {
      expect(() => shop.literal('fenced key', key)).toThrow(expect.objectContaining({ code: 'SLUICE_BAD_NAME' }));
    }
  });

  it('shows no more of a bad name than a line', () => {
    expect.assertions(2);
    try {
      plain.main('lock', 'lock:', 'x\n'.repeat(1 << 20));
    } catch (error) {
      expect((error as Error).message).not.toContain('\n');
      expect((error as Error).message.length).toBeLessThan(1_000);
    }
  });

  it.each(['', 'a{b}', 'a:~b', 7 as never, 'shop:eu', 'lock', 'a\ud800', 'a'.repeat(1_025)])(
    'refuses the namespace %p',
    (namespace) => {
      expect(() => new Keyspace(namespace)).toThrow(expect.objectContaining({ code: 'SLUICE_BAD_NAME' }));
    },
  );

  it('takes any non-empty text as a cache key', () => {
    expect(checkKey('{}:~ }{')).toBe('{}:~ }{');
    expect(checkKey('\u{1F600}')).toBe('\u{1F600}');
    for (const key of ['', undefined, null, 0, {}, 'a\ud800', '\udc00']) {
      expect(() => checkKey(key)).toThrow(expect.objectContaining({ code: 'SLUICE_BAD_NAME' }));
    }
  });
});
