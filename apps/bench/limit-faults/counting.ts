/** What is admitted, and what a refusal costs. */
import { setTimeout as pause } from 'node:timers/promises';
import { notOffered, seenAs, type Fault } from './fault.js';

export const twice: Fault = {
  letter: 'A',
  title: 'Twice the limit in a window',
  order:
    'A limit of 10 per 2 s. One call; 9 more after 1.6 s; 10 more after 2.2 s: never more than 10 calls in a window that began with its first call.',
  right: 'No window of 2 s holds more than 10 calls that were admitted.',
  async play(column, { redis }) {
    const perMs = 2_000;
    const limiter = await column.start(redis.url, { limit: 10, perMs });
    try {
      const admitted: { sentAt: number; doneAt: number }[] = [];
      const hit = async (): Promise<void> => {
        const sentAt = performance.now();
        if (await limiter.hit('client')) admitted.push({ sentAt, doneAt: performance.now() });
      };
      // The first call of all compiles and connects.
      await limiter.hit('another client');
      const fromMs = performance.now();
      for (const [calls, atMs] of [
        [1, 0],
        [9, 1_600],
        [10, 2_200],
      ] as const) {
        await pause(fromMs + atMs - performance.now());
        await Promise.all(Array.from({ length: calls }, hit));
      }
      const most = Math.max(
        ...admitted.map(({ sentAt }) => {
          return admitted.filter((other) => other.sentAt >= sentAt && other.doneAt < sentAt + perMs).length;
        }),
      );
      return seenAs(most <= 10, `${most} in a window`);
    } finally {
      await limiter.close();
    }
  },
};

export const chargedRefusal: Fault = {
  letter: 'B',
  title: 'A refused call is charged',
  order: 'A limit of 10. A call of 9 units, a call of 5 units, which does not fit, then a call of 1 unit.',
  right: 'The call of 5 units is refused, the call of 1 unit is admitted.',
  async play(column, { redis }) {
    if (!column.weights) return notOffered('every call is one unit');
    const limiter = await column.start(redis.url, { limit: 10, perMs: 60_000 });
    try {
      const admitted = [await limiter.hit('client', 9), await limiter.hit('client', 5), await limiter.hit('client', 1)];
      const right = admitted.join() === 'true,false,true';
      return seenAs(right, `the call of 1 unit is ${admitted[2] === true ? 'admitted' : 'refused'}`);
    } finally {
      await limiter.close();
    }
  },
};

export const keepsTrying: Fault = {
  letter: 'C',
  title: 'A client that keeps trying',
  order: 'A limit of 3 per 1 s. A client calls every 50 ms for 5 s.',
  right: 'It gets 3 calls a second: at least 12 in 5 s.',
  async play(column, { redis }) {
    const limiter = await column.start(redis.url, { limit: 3, perMs: 1_000 });
    try {
      let [admitted, calls] = [0, 0];
      const fromMs = performance.now();
      while (performance.now() - fromMs < 5_000) {
        calls++;
        if (await limiter.hit('client')) admitted++;
        await pause(50);
      }
      return seenAs(admitted >= 12, `${admitted} of ${calls} calls in 5 s`);
    } finally {
      await limiter.close();
    }
  },
};

export const reset: Fault = {
  letter: 'D',
  title: 'A reset in another process',
  order:
    'A limit of 1 per minute. Process 1 uses it up and is refused. Process 2 resets the key. Process 1 calls again for 5 s.',
  right: 'Process 1 is admitted within about a second.',
  async play(column, { redis }) {
    const first = await column.start(redis.url, { limit: 1, perMs: 60_000 });
    const second = await column.start(redis.url, { limit: 1, perMs: 60_000 });
    try {
      if (second.reset === undefined) return notOffered('no reset');
      while (await first.hit('client'));
      await second.reset('client');
      const fromMs = performance.now();
      while (performance.now() - fromMs < 5_000) {
        if (await first.hit('client')) return seenAs(true, 'admitted');
        await pause(50);
      }
      return seenAs(false, 'still refused after 5 s');
    } finally {
      await first.close();
      await second.close();
    }
  },
};
