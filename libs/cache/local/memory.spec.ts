import { describe, expect, it } from '@jest/globals';
import { runInNewContext } from 'node:vm';
import { setFlagsFromString } from 'node:v8';
import { CacheBed } from '../../../test/support/cache-bed.js';
import { RecentlySeen } from '../store/recently-seen.js';
import { parseStored } from '../store/stored-value.js';

const bed = new CacheBed();
setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

describe('what a process keeps', () => {
  it('of entries that it has seen is not their text, however long their tags are', () => {
    const seen = new RecentlySeen();
    collect();
    const before = process.memoryUsage().heapUsed;
    for (let i = 0; i < 300; i++) {
      // As a reply of Redis: one text of its own, which the tags are a part of.
      const reply = Buffer.from(
        `^1 epoch 1800000000000 1 category:books-and-more=epoch\n${'v'.repeat(100_000)}`,
      ).toString();
      seen.add(`:k${i}`, parseStored(reply)!);
    }
    collect();
    // The texts are 30 MB.
    expect(process.memoryUsage().heapUsed - before).toBeLessThan(5_000_000);
    expect(seen.find(':k7')?.tags).toEqual(['category:books-and-more']);
  });

  it('counts as large as it is in memory, not as packed in Redis', async () => {
    const { cache } = await bed.member({ compression: true, local: { maxBytes: 1_000_000 } });
    const value = { text: 'all the same '.repeat(10_000) };
    for (let i = 0; i < 20; i++) await cache.getOrLoad(`k${i}`, () => value);
    for (let i = 0; i < 20; i++) await cache.getOrLoad(`k${i}`, () => value);
    const { entries, bytes } = cache.stats().local!;
    // 130,000 characters each, as two bytes each.
    expect(entries).toBeLessThanOrEqual(3);
    expect(bytes).toBeGreaterThan(entries * 250_000);
  });
});
