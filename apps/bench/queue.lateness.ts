/** How late a delayed task begins, on a queue that is idle otherwise. */
import { Injectable } from '@nestjs/common';
import { QueueService, Task, TaskHandler, defineQueue } from 'nestjs-sluice';
import { startApp } from './app.js';
import type { BenchContext, Contenders } from './bench.js';
import { nowMs, until } from './now.js';
import { quantile } from './statistics.js';

const DELAY_MS = 300;
const EVERY_MS = 20;

const Delayed = defineQueue<{ dueAt: number }>('delayed');

@Injectable()
class Clockwatcher {
  readonly lateMs: number[] = [];
  #enough = { at: Infinity, reached: (): void => {} };

  @TaskHandler(Delayed)
  async handle({ payload }: Task<{ dueAt: number }>): Promise<void> {
    this.lateMs.push(nowMs() - payload.dueAt);
    if (this.lateMs.length >= this.#enough.at) this.#enough.reached();
    return Promise.resolve();
  }

  /** Resolves once so many have come. */
  async have(tasks: number): Promise<void> {
    await new Promise<void>((reached) => (this.#enough = { at: tasks, reached }));
  }
}

/** One task after the other at a constant rate; raw is a bare timer for each. */
export async function lateness({ redis, quick }: BenchContext): Promise<Contenders> {
  const app = await startApp(redis.url, {}, [Clockwatcher]);
  const queue = app.get(QueueService);
  const watcher = app.get(Clockwatcher);
  const tasks = quick ? 40 : 150;
  const atConstantRate = async (each: (dueAt: number) => Promise<unknown>): Promise<void> => {
    const startAt = nowMs();
    for (let i = 0; i < tasks; i++) {
      await until(startAt + i * EVERY_MS);
      await each(nowMs() + DELAY_MS);
    }
  };
  return {
    sluice: async () => {
      watcher.lateMs.length = 0;
      const all = watcher.have(tasks);
      await atConstantRate((dueAt) => queue.publish(Delayed, { dueAt }, { delayMs: DELAY_MS }));
      await all;
      return quantile(watcher.lateMs, 0.99);
    },
    raw: async () => {
      const late: Promise<number>[] = [];
      await atConstantRate((dueAt) => {
        const timer = new Promise((resolve) => setTimeout(resolve, DELAY_MS));
        late.push(timer.then(() => nowMs() - dueAt));
        return Promise.resolve();
      });
      return quantile(await Promise.all(late), 0.99);
    },
    close: () => app.close(),
  };
}
