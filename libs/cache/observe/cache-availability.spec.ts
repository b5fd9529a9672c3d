import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { Redis } from 'ioredis';
import { CacheBed } from '../../../test/support/cache-bed.js';
import type { CacheMember } from '../../../test/support/cache-member.js';
import { until } from '../../../test/support/until.js';
import { systemClock, RedisUnavailableError } from '../../redis/index.js';
import { startRedis, type RedisServer } from '../../testing/index.js';
import { CacheAvailability } from './cache-availability.js';

const bed = new CacheBed();

describe('a cache that is off', () => {
  let own: RedisServer;
  let client: Redis;
  let lines: string[];
  let events: unknown[][];
  let stops: (() => void)[];
  beforeEach(async () => {
    own = await startRedis();
    client = new Redis(own.url);
    client.on('error', () => {});
    [lines, events, stops] = [[], [], []];
    for (const channel of ['sluice:cache:off', 'sluice:cache:back', 'sluice:cache:bypassed'] as const) {
      const listener = (message: unknown): void => {
        events.push([channel, (message as { reason: string }).reason]);
      };
      subscribe(channel, listener);
      stops.push(() => unsubscribe(channel, listener));
    }
  });
  afterEach(async () => {
    for (const stop of stops) stop();
    client.disconnect();
    await own.stop();
  });

  const listening = async (options: Parameters<typeof bed.member>[0] = {}): Promise<CacheMember> => {
    const made = await bed.member({ redis: { url: own.url }, ...options });
    const { logger } = made.connections;
    logger.warn = (line: unknown) => lines.push(`warn ${String(line)}`);
    logger.log = (line: unknown) => lines.push(`log ${String(line)}`);
    return made;
  };
  const ofCache = (): string[] => lines.filter((line) => /cache/.test(line));
  const changes = (): unknown[][] => events.filter(([channel]) => channel !== 'sluice:cache:bypassed');

  it('because Redis is gone is told once, and once that it is back', async () => {
    const { cache } = await listening();
    await cache.getOrLoad('known', () => 'v');
    await own.kill();
    expect(await cache.getOrLoad('known', () => 'source')).toBe('source');
    for (let i = 0; i < 19; i++) expect(await cache.getOrLoad(`k${i}`, () => i)).toBe(i);
    expect(await cache.get('k')).toBe(undefined);
    expect(ofCache()).toEqual([expect.stringMatching(/^warn the cache is off: .*uncached.* not connected/)]);
    expect(changes()).toEqual([['sluice:cache:off', 'down']]);
    expect(events.filter(([channel]) => channel === 'sluice:cache:bypassed')).toHaveLength(21);
    expect(cache.stats().total.bypassed).toEqual({ down: 21, timeout: 0, breaker: 0, refused: 0 });
    expect(cache.stats().availability).toEqual({ off: true, outages: 1, refusals: 0 });
    await own.restart();
    let n = 0;
    // Always a new key: each of them asks with the script.
    await until(() => cache.getOrLoad(`new${n++}`, () => 'v').then(() => !cache.stats().availability.off), {
      what: 'it is back',
    });
    expect(ofCache()[1]).toMatch(/^log the cache is back: for [\d.]+ s, \d+ reads were not answered/);
    expect(ofCache()).toHaveLength(2);
    expect(changes()).toEqual([
      ['sluice:cache:off', 'down'],
      ['sluice:cache:back', 'down'],
    ]);
  });

  it('because Redis hangs counts who waited, and who was spared it', async () => {
    const { cache } = await listening({ readTimeoutMs: 100 });
    own.pause();
    for (let i = 0; i < 5; i++) await cache.getOrLoad(`k${i}`, () => i);
    const { bypassed } = cache.stats().total;
    expect(bypassed).toMatchObject({ down: 0, refused: 0 });
    expect(bypassed.timeout).toBeGreaterThan(0);
    expect(bypassed.timeout + bypassed.breaker).toBe(5);
    expect(ofCache()).toEqual([expect.stringMatching(/^warn the cache is off: .* gave no reply within 100 ms/)]);
    own.resume();
  });

  it.each([
    [
      'its user may run no scripts',
      async (): Promise<void> => {
        // The app's user may be another one than that of this client.
        const users = (await client.call('acl', 'users')) as string[];
        for (const user of users) await client.call('acl', 'setuser', user, '-eval', '-evalsha');
      },
      'NOPERM',
    ],
    ['it is full', (): Promise<unknown> => client.config('SET', 'maxmemory', '1'), 'OOM'],
  ])('because %s names the refusal once', async (_, refuse, word) => {
    const { cache } = await listening();
    await refuse();
    for (let i = 0; i < 10; i++) expect(await cache.getOrLoad(`k${i}`, () => i)).toBe(i);
    const mine = lines.filter((line) => line.startsWith('warn Redis refuses reads of the cache'));
    expect(mine).toEqual([expect.stringContaining(word)]);
    expect(changes()).toEqual([['sluice:cache:off', 'refused']]);
    expect(cache.stats().total.bypassed.refused).toBe(10);
    expect(cache.stats().availability).toEqual({ off: true, outages: 0, refusals: 1 });
  });

  it('for one key only is that key alone', async () => {
    const { cache } = await listening();
    await client.lpush('{cache}:bad', 'a list');
    await cache.set('good', 'v');
    const answers = ['bad', 'good', 'new', 'bad'].map((key) => cache.getOrLoad(key, () => `${key} loaded`));
    expect(await Promise.all(answers)).toEqual(['bad loaded', 'v', 'new loaded', 'bad loaded']);
    expect(await cache.getMany(['bad', 'good', 'new'])).toEqual([undefined, 'v', 'new loaded']);
    expect(cache.stats().total.bypassed).toMatchObject({ down: 0, timeout: 0, breaker: 0 });
  });

  it('since the boot is told as well', async () => {
    await own.kill();
    const { CacheService } = await import('../cache.service.js');
    const { RedisConnections } = await import('../../redis/index.js');
    const connections = new RedisConnections({ redis: { url: own.url, required: false } });
    connections.logger.warn = (line: unknown) => lines.push(`warn ${String(line)}`);
    const cache = new CacheService(connections, {});
    await connections.open();
    expect(await cache.getOrLoad('k', () => 'source')).toBe('source');
    expect(ofCache()).toEqual([expect.stringMatching(/^warn the cache is off/)]);
    await connections.onApplicationShutdown();
  });
});

describe('the report of an outage', () => {
  let nowMs = 0;
  let lines: string[];
  let availability: CacheAvailability;
  beforeEach(() => {
    lines = [];
    const tell = (line: string): void => {
      lines.push(line);
    };
    availability = new CacheAvailability({ clock: { ...systemClock, monoMs: () => nowMs }, warn: tell, note: tell });
  });
  const late = new RedisUnavailableError('gave no reply', 'unknown');
  const full = new RedisUnavailableError('is full', 'not-sent', { refusal: 'OOM' });

  it('is one, though an overloaded server answers now and then', () => {
    for (let i = 0; i < 10; i++) {
      availability.bypassed(late);
      nowMs += 999;
      availability.answered();
    }
    expect(lines).toHaveLength(1);
    nowMs += 1;
    availability.answered();
    expect(lines[1]).toBe('the cache is back: for 9.0 s, 10 reads were not answered by Redis');
  });

  it('of refusals ends after five seconds without one', () => {
    availability.bypassed(full);
    nowMs += 4_999;
    availability.answered();
    expect(lines).toHaveLength(1);
    nowMs += 1;
    availability.answered();
    availability.answered();
    expect(lines[1]).toBe('Redis no longer refuses reads of the cache: for 0.0 s, it refused 1');
    expect(lines).toHaveLength(2);
  });

  it('is silent once the app goes down', () => {
    availability.close();
    availability.bypassed(late);
    expect(lines).toEqual([]);
  });
});
