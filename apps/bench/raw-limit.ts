/** What one would write by hand: the counter of Redis' documentation as a script, which does not count what it refuses. */
import { Redis } from 'ioredis';
import type { LimitNumbers, Limiter } from './peers/limiters.js';

const HIT = `
local used = tonumber(redis.call('GET', KEYS[1]) or 0)
local units, limit = tonumber(ARGV[1]), tonumber(ARGV[2])
if used + units > limit then return { 0, limit - used, redis.call('PTTL', KEYS[1]) } end
redis.call('INCRBY', KEYS[1], units)
if used == 0 then redis.call('PEXPIRE', KEYS[1], ARGV[3]) end
return { 1, limit - used - units, 0 }`;

interface WithScript extends Redis {
  hit(key: string, units: number, limit: number, perMs: number): Promise<[allowed: number, left: number, ms: number]>;
}

export function rawLimit(url: string, { limit, perMs }: LimitNumbers): Limiter {
  // One write for many commands, as one who asks this much would have it.
  const client = new Redis(url, { enableAutoPipelining: true }) as WithScript;
  client.defineCommand('hit', { numberOfKeys: 1, lua: HIT });
  return {
    hit: async (key, units = 1) => (await client.hit(key, units, limit, perMs))[0] === 1,
    close: async () => {
      await client.quit();
    },
  };
}
