/** What callers get while Redis does not answer. */
import { answerOf, notOffered, seenAs, type Fault } from './fault.js';

const PATIENCE_MS = 10_000;

export const frozen: Fault = {
  letter: 'E',
  title: 'Redis does not answer',
  order: 'Redis is paused (SIGSTOP). Then a call.',
  right: 'A decision within a second.',
  async play(column, { redis }) {
    const limiter = await column.start(redis.url, { limit: 10, perMs: 60_000 });
    try {
      await limiter.hit('client');
      redis.pause();
      const fromMs = performance.now();
      const { seen, value } = await answerOf(limiter.hit('client'), PATIENCE_MS);
      return seenAs(value !== undefined && performance.now() - fromMs < 1_000, seen);
    } finally {
      redis.resume();
      await limiter.close();
    }
  },
};

export const noBlock: Fault = {
  letter: 'F',
  title: 'A throttler storage with `blockDuration: 0`',
  order: 'A limit of 2 per minute, no block. The storage is asked for 5 requests, as the guard asks it.',
  right: '2 requests are admitted, 3 are refused.',
  async play(column, { redis }) {
    if (column.storage === undefined) return notOffered('no storage for @nestjs/throttler');
    const { storage, close } = await column.storage(redis.url);
    try {
      let admitted = 0;
      for (let i = 0; i < 5; i++) {
        const { seen, value } = await answerOf(storage.increment('client', 60_000, 2, 0, 'default'), PATIENCE_MS);
        if (value === undefined) return seenAs(false, seen);
        if (!value.isBlocked) admitted++;
      }
      return seenAs(admitted === 2, `${admitted} of 5 requests are admitted`);
    } finally {
      await close();
    }
  },
};
