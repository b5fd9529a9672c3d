import { Injectable, Logger, Module, type DynamicModule } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { LockService, QueueService, SluiceModule, TaskHandler } from 'nestjs-sluice';
import { atLeast, below, equal, type Claim, type Step } from './step.js';

const LOCKS = 300;
const TASKS = 5_000;
/** A burst of 5,000 keeps js-redis-server busy for longer than a command may take. */
const TASKS_EMBEDDED = 500;

export interface SpeedFigures {
  /** Mean time to acquire a free lock, one after the other. */
  lockMeanMs: number;
  tasks: number;
  /** Runs of a handler that does nothing. */
  handled: number;
  /** From the first publish to the last run. */
  tasksPerSecond: number;
  /** Whether the server's speed says anything about Redis. */
  representative: boolean;
}

@Injectable()
class Noop {
  handled = 0;

  @TaskHandler('noop')
  async handle(): Promise<void> {
    this.handled++;
    return Promise.resolve();
  }
}

@Module({ providers: [Noop] })
class SpeedModule {
  static using(namespace: string, url: string): DynamicModule {
    return { module: SpeedModule, imports: [SluiceModule.forRoot({ namespace, redis: { url } })] };
  }
}

/** What the library itself costs: locks and tasks with nothing to do, in the launcher's own process. */
export const speed: Step<SpeedFigures> = {
  title: 'The cost of a lock and of a task',
  shows: `${LOCKS} locks one after the other, then tasks that do nothing, in one process with default settings.`,

  async play({ namespace, redis, until }) {
    // What Nest says of this context is no part of the report.
    Logger.overrideLogger(['error']);
    const app = await NestFactory.createApplicationContext(SpeedModule.using(namespace, redis.url));
    try {
      const lockMeanMs = await timeLocks(app.get(LockService));

      const tasks = redis.representative ? TASKS : TASKS_EMBEDDED;
      const noop = app.get(Noop);
      const started = performance.now();
      await app.get(QueueService).publishMany('noop', Array<object>(tasks).fill({}));
      await until(() => noop.handled >= tasks);
      const seconds = (performance.now() - started) / 1_000;
      return {
        lockMeanMs,
        tasks,
        handled: noop.handled,
        tasksPerSecond: Math.round(tasks / seconds),
        representative: redis.representative,
      };
    } finally {
      await app.close();
    }
  },

  judge({ lockMeanMs, tasks, handled, tasksPerSecond, representative }) {
    const claims: Claim[] = [equal('every task ran once', tasks, handled)];
    if (!representative) return claims;
    claims.push(below('mean time to a free lock', 5, lockMeanMs));
    claims.push(atLeast('tasks per second', 1_000, tasksPerSecond));
    return claims;
  },

  rows: ({ lockMeanMs, tasks, tasksPerSecond }) => [
    ['mean acquire', `${lockMeanMs} ms`],
    ['tasks', tasks],
    ['tasks per second', tasksPerSecond],
  ],
};

async function timeLocks(locks: LockService): Promise<number> {
  let totalMs = 0;
  for (let i = 0; i < LOCKS; i++) {
    const started = performance.now();
    const lock = await locks.acquire('speed');
    totalMs += performance.now() - started;
    await lock.release();
  }
  return Number((totalMs / LOCKS).toFixed(3));
}
