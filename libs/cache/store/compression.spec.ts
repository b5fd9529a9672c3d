import { brotliCompressSync } from 'node:zlib';
import { describe, expect, it } from '@jest/globals';
import { decode, encode } from '../codec/codec.js';
import { pack, unpack, UNPACKED_MAX_BYTES } from './compression.js';

const books = Array.from({ length: 100 }, (_, id) => ({ id, title: `Book ${id}`, at: new Date(id), größe: '…' }));

describe('compression', () => {
  it('makes long texts shorter, and gives them back', () => {
    const text = encode(books);
    const packed = pack(text, 1_000);
    expect(packed.length).toBeLessThan(text.length / 3);
    expect(unpack(packed)).toBe(text);
    expect(decode(packed)).toEqual(books);
  });

  it('leaves alone what is shorter than the threshold, or would not get shorter', () => {
    const text = encode(books);
    expect(pack(text, text.length + 1)).toBe(text);
    expect(pack(text, text.length)).not.toBe(text);
    const noise = JSON.stringify(
      [...crypto.getRandomValues(new Uint8Array(2_000))].map((n) => String.fromCharCode(n + 300)).join(''),
    );
    expect(unpack(pack(noise, 1))).toBe(noise);
    expect(pack('"1234567"', 1)).toBe('"1234567"');
  });

  it('reads what another process packed, whatever is switched on here', () => {
    expect(unpack('{"a":1}')).toBe('{"a":1}');
    expect(decode(pack(encode(books), 1))).toEqual(books);
  });

  it('refuses what would fill the memory', () => {
    const packed = (text: string | Buffer): string => `~c${brotliCompressSync(text).toString('base64')}`;
    // As long as it may be to be unpacked, by its own length.
    const noise = JSON.stringify([...crypto.getRandomValues(new Uint8Array(60_000))]);
    expect(() => unpack(packed(noise + ' '.repeat(UNPACKED_MAX_BYTES)))).toThrow(/larger than/);
    const bomb = packed(Buffer.alloc((1 << 20) + 1, 0x20));
    expect(bomb.length).toBeLessThan(1_000);
    expect(() => unpack(bomb)).toThrow(/larger than/);
    expect(unpack(packed(' '.repeat(1 << 20)))).toHaveLength(1 << 20);
  });

  it('stores what it could not read back as it is', () => {
    const noise = JSON.stringify([...crypto.getRandomValues(new Uint8Array(60_000))]);
    // Compared here: the difference of two such texts takes minutes to print.
    for (const text of [noise + ' '.repeat(UNPACKED_MAX_BYTES), ' '.repeat((1 << 20) + 1)]) {
      expect(pack(text, 1) === text).toBe(true);
    }
    const same = ' '.repeat(1 << 20);
    expect(unpack(pack(same, 1)) === same).toBe(true);
    expect(pack(same, 1).length).toBeLessThan(1_000);
  });

  it.each(['~c', '~cAAAA', '~c!!!', `~c${brotliCompressSync('"x"').toString('base64').slice(0, -4)}`])(
    'throws for broken bytes: %s',
    (text) => {
      expect(() => decode(text)).toThrow();
    },
  );
});
