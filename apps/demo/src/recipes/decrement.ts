/** Three ways to take one from a stock that is kept in Redis, none of which ever takes more than there is. */
import type { Redis } from 'ioredis';
import type { LockService } from 'nestjs-sluice';

/** Takes one; false if there is none left. */
export type Decrement = () => Promise<boolean>;

const TAKE_ONE = `
local left = tonumber(redis.call('GET', KEYS[1]) or '0')
if left < 1 then return 0 end
redis.call('DECR', KEYS[1])
return 1`;

/** One step inside Redis: nothing can come between. The best of the three, as long as all that is changed is in Redis. */
export function byScript(client: Redis, key: string): Decrement {
  return async () => (await client.eval(TAKE_ONE, 1, key)) === 1;
}

/**
 * Optimistic: whoever was overtaken starts again. Without contention as good as a script; the more callers, the more work is
 * thrown away. What is watched belongs to the connection, so each caller needs one of its own.
 *
 * @param onRetry called when it was overtaken
 */
export function byWatch(ownClient: Redis, key: string, onRetry: () => void): Decrement {
  return async () => {
    for (;;) {
      await ownClient.watch(key);
      if (Number(await ownClient.get(key)) < 1) {
        await ownClient.unwatch();
        return false;
      }
      if (await ownClient.multi().decr(key).exec()) return true;
      onRetry();
    }
  };
}

/**
 * Pessimistic: one after the other, in the order of their arrival. The dearest for a counter, and the only one of the three
 * for work that takes time or that changes something outside Redis, like the orders of this shop.
 */
export function underLock(locks: LockService, client: Redis, key: string): Decrement {
  return () =>
    locks.withLock(`stock:${key}`, async () => {
      const left = Number(await client.get(key));
      if (left < 1) return false;
      await client.set(key, left - 1);
      return true;
    });
}
