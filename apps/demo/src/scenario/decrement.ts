import { Logger } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { LockService, SluiceModule } from 'nestjs-sluice';
import { byScript, byWatch, underLock, type Decrement } from '../recipes/decrement.js';
import { equal, type Step } from './step.js';

const CALLERS = 10;
const STOCK = 150;
const CALLS = 200;

export interface WayFigures {
  /** Calls that took one. */
  taken: number;
  left: number;
  tookMs: number;
}

export interface DecrementFigures {
  script: WayFigures;
  watch: WayFigures & { retries: number };
  lock: WayFigures;
}

/** The same decrement done in three ways by ten callers at once. */
export const decrement: Step<DecrementFigures> = {
  title: 'One stock, three ways to decrement it',
  shows: `${CALLERS} callers ask ${CALLS} times for one of ${STOCK}: by a script, by WATCH and MULTI, and under a lock.`,

  async play({ namespace, redis }) {
    // What Nest says of this context is no part of the report.
    Logger.overrideLogger(['error']);
    const clients = Array.from({ length: CALLERS }, () => redis.client.duplicate({ lazyConnect: false }));
    const app = await NestFactory.createApplicationContext(
      SluiceModule.forRoot({ namespace, redis: { url: redis.url } }),
    );
    const time = async (way: string, decrementBy: (key: string, caller: number) => Decrement): Promise<WayFigures> => {
      const key = `${namespace}:stock:${way}`;
      await redis.client.set(key, STOCK);
      const started = performance.now();
      const taken = await Promise.all(clients.map((_, caller) => takeInTurns(decrementBy(key, caller))));
      return {
        taken: taken.reduce((sum, each) => sum + each, 0),
        left: Number(await redis.client.get(key)),
        tookMs: Math.round(performance.now() - started),
      };
    };
    try {
      let retries = 0;
      return {
        script: await time('script', (key, caller) => byScript(at(clients, caller), key)),
        watch: {
          ...(await time('watch', (key, caller) => byWatch(at(clients, caller), key, () => retries++))),
          retries,
        },
        lock: await time('lock', (key, caller) => underLock(app.get(LockService), at(clients, caller), key)),
      };
    } finally {
      for (const client of clients) client.disconnect();
      await app.close();
    }
  },

  judge: ({ script, watch, lock }) =>
    Object.entries({ script, watch, lock }).flatMap(([way, { taken, left }]) => [
      equal(`by ${way}: taken`, STOCK, taken),
      equal(`by ${way}: left`, 0, left),
    ]),

  rows: ({ script, watch, lock }) => [
    ['by a script', `${script.tookMs} ms`],
    ['by WATCH and MULTI', `${watch.tookMs} ms, ${watch.retries} begun again`],
    ['under a lock', `${lock.tookMs} ms`],
  ],
};

async function takeInTurns(decrementOne: Decrement): Promise<number> {
  let taken = 0;
  for (let i = 0; i < CALLS / CALLERS; i++) if (await decrementOne()) taken++;
  return taken;
}

function at<T>(items: readonly T[], index: number): T {
  const item = items[index];
  if (item === undefined) throw new Error(`there is no client ${index}`);
  return item;
}
