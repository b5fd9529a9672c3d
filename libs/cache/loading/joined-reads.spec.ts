import { describe, expect, it } from '@jest/globals';
import { CacheBed } from '../../../test/support/cache-bed.js';
import { HeldLoader } from '../../../test/support/cache-member.js';
import { blockWhileSending } from '../../../test/support/block-while-sending.js';
import { until } from '../../../test/support/until.js';

const bed = new CacheBed();

class User {
  name = '';
  greet(): string {
    return `hi ${this.name}`;
  }
}
const revive = (data: unknown): User => Object.assign(new User(), data);

describe('a read that meets another of the same key', () => {
  it('gets the class that its own caller asked for', async () => {
    const { cache } = await bed.member();
    const load = (): Promise<object> => Promise.resolve({ name: 'ann' });
    const shouted = (data: unknown): string => revive(data).greet().toUpperCase();
    const [plain, user, text] = await Promise.all([
      cache.getOrLoad<unknown>('k', load),
      cache.getOrLoad<unknown>('k', load, { revive }),
      cache.getOrLoad<unknown>('k', load, { revive: shouted }),
    ]);
    expect(plain).toEqual({ name: 'ann' });
    expect(plain).not.toBeInstanceOf(User);
    expect(user).toBeInstanceOf(User);
    expect(text).toBe('HI ANN');
  });

  it('gets a stale value only if its own caller accepts one', async () => {
    const { cache } = await bed.member();
    await cache.set('k', 'old', { ttlMs: 1, jitter: 0, staleMs: 600_000 });
    await until(async () => (await cache.get('k')) === undefined, { what: 'the value is stale' });
    const source = new HeldLoader<string>();
    const accepts = cache.getOrLoad('k', source.load, { staleMs: 600_000 });
    const refuses = cache.getOrLoad('k', source.load);
    expect(await accepts).toBe('old');
    (await source.run()).succeed('new');
    expect(await refuses).toBe('new');
    expect(source.runs).toHaveLength(1);
  });

  it('waits no longer than its own caller allows', async () => {
    const { cache } = await bed.member();
    const source = new HeldLoader<string>();
    const patient = cache.getOrLoad('k', source.load);
    await source.run();
    await expect(cache.getOrLoad('k', source.load, { loaderTimeoutMs: 50 })).rejects.toMatchObject({
      code: 'SLUICE_CACHE_LOADER_TIMEOUT',
    });
    source.runs[0]!.succeed('v');
    expect(await patient).toBe('v');
  });

  it('is still one load in this process while Redis is away', async () => {
    const { cache, connections } = await bed.member();
    await connections.get().commands.close();
    const source = new HeldLoader<string>();
    const reads = Array.from({ length: 20 }, (_, i) =>
      cache.getOrLoad('k', source.load, i % 2 === 0 ? {} : { revive: String }),
    );
    await source.run(2);
    for (const run of source.runs) run.succeed('v');
    expect(await Promise.all(reads)).toEqual(Array(20).fill('v'));
    // One for each of the two kinds of callers.
    expect(source.runs).toHaveLength(2);
  });
});

describe('strict reads of one key in one process', () => {
  it('share the next question while a load of another process runs', async () => {
    const [loader, reader] = [await bed.member(), await bed.member()];
    const source = new HeldLoader<string>();
    const loading = loader.cache.getOrLoad('k', source.load);
    await source.run();
    const reads: Promise<string>[] = [];
    for (let i = 0; i < 500; i++) {
      reads.push(reader.cache.getOrLoad('k', source.load, { consistency: 'strict' }));
      await new Promise((resolve) => setImmediate(resolve));
    }
    await until(async () => (await bed.waitersOf('{cache}~lease:k')) > 0, { what: 'they wait' });
    const registered = await bed.waitersOf('{cache}~lease:k');
    source.runs[0]!.succeed('v');
    expect(await Promise.all(reads)).toEqual(Array(500).fill('v'));
    expect(await loading).toBe('v');
    expect(registered).toBeLessThan(100);
    expect(source.runs).toHaveLength(1);
  });

  it('ask anew in one turn of the event loop, if the question has left', async () => {
    const [writer, reader] = [await bed.member(), await bed.member()];
    let round = 0;
    const askAfterQuestionLeft = async (): Promise<boolean> => {
      const key = `k${round++}`;
      await writer.cache.set(key, 'old');
      const read = (): Promise<string> => reader.cache.getOrLoad(key, () => 'new', { consistency: 'strict' });
      const first = read();
      // The promise jobs in which the first read asks. This turn does not end before the next one.
      for (let i = 0; i < 20; i++) await Promise.resolve();
      expect(blockWhileSending(bed.redis.port, `DEL {cache}:${key}`)).toBe(':1');
      const second = read();
      const answers = await Promise.all([first, second]);
      expect(answers[1]).toBe('new');
      return answers[0] === 'old';
    };
    // The question waits for the end of its turn if another command of the connection is under way. That round shows nothing.
    await until(askAfterQuestionLeft, { what: 'a question leaves before its turn ends' });
  });

  it('ask Redis although an older one waits for a load, and nobody told it that the load is void', async () => {
    const options = { leaseMs: 600_000, loaderTimeoutMs: 600_000 };
    const [loader, reader] = [await bed.member(options), await bed.member(options)];
    const source = new HeldLoader<string>();
    const loading = loader.cache.getOrLoad('k', source.load);
    await source.run();
    const before = reader.cache.getOrLoad('k', () => 'new', { consistency: 'strict' });
    await bed.waiters(1);
    // As an eviction would.
    await bed.admin.del('{cache}~lease:k');
    expect(await reader.cache.getOrLoad('k', () => 'new', { consistency: 'strict' })).toBe('new');
    source.runs[0]!.succeed('old');
    await loading;
    await reader.close();
    await before;
  });

  it('that begin after an invalidation never get what was loaded before', async () => {
    const [loader, reader] = [await bed.member(), await bed.member()];
    const source = new HeldLoader<string>();
    const strict = { consistency: 'strict', tags: ['t'] } as const;
    const loading = loader.cache.getOrLoad('k', source.load, strict);
    await source.run();
    const before = reader.cache.getOrLoad('k', () => 'new', strict);
    await bed.waiters(1);
    await loader.cache.invalidateTags('t');
    const after = reader.cache.getOrLoad('k', () => 'new', strict);
    expect(await after).toBe('new');
    source.runs[0]!.succeed('old');
    await Promise.all([loading, before]);
  });
});
