/** What one would write by hand: a lock with an owner, a lease and a fencing token, in two scripts. */
import { Redis } from 'ioredis';

const ACQUIRE = `
if redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then
  local token = redis.call('INCR', KEYS[2])
  redis.call('PEXPIRE', KEYS[2], 3600000)
  return token
end
return 0`;
const RELEASE = `
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0`;

interface WithScripts extends Redis {
  acquireLock(key: string, fence: string, owner: string, ttlMs: number): Promise<number>;
  releaseLock(key: string, owner: string): Promise<number>;
}

export interface RawLock {
  pair(key: string, owner: string): Promise<void>;
  close(): void;
}

export function rawLock(url: string): RawLock {
  const client = new Redis(url) as WithScripts;
  client.defineCommand('acquireLock', { numberOfKeys: 2, lua: ACQUIRE });
  client.defineCommand('releaseLock', { numberOfKeys: 1, lua: RELEASE });
  return {
    async pair(key, owner) {
      if ((await client.acquireLock(key, `${key}:fence`, owner, 30_000)) === 0) throw new Error('it is free');
      if ((await client.releaseLock(key, owner)) === 0) throw new Error('it is held');
    },
    close: () => {
      client.disconnect();
    },
  };
}
