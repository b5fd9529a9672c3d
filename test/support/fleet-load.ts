import { setTimeout as pause } from 'node:timers/promises';
import { Module, type INestApplicationContext } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import {
  CacheService,
  LockService,
  QueueService,
  SluiceModule,
  TaskHandler,
  type RedisOptions,
  type Task,
} from 'nestjs-sluice';
import { checkIntervals, now, type Interval, type Violation } from './history.js';
import { until } from './until.js';

/** What an app of the fleet does all the time. Each of them needs Redis. */
export const FEATURES = ['lock', 'invalidate', 'publish', 'run'] as const;
export type Feature = (typeof FEATURES)[number];

/** A local copy may be served for so long after an acknowledged invalidation, in milliseconds. */
const BOUND_MS = 1_000;
const NAMES = ['a', 'b'];
const KEYS = ['k0', 'k1', 'k2'];

interface Published {
  n: string;
  /** When it was acknowledged. */
  atMs: number;
}

interface Invalidated {
  app: number;
  key: string;
  sentMs: number;
  ackedMs: number;
}

interface Read {
  app: number;
  key: string;
  askedMs: number;
  /** When the load of its value began. */
  loadedMs: number;
}

/** Apps that take locks, read and invalidate a cache with local copies, publish tasks and handle them; and what came of it. */
export class FleetLoad {
  readonly published: Published[] = [];
  readonly runs = new Map<string, number>();
  readonly holds: Interval[] = [];
  /** The messages of errors by code. A fault may cause errors of its kind only. */
  readonly errors = new Map<string, string>();
  readonly apps: INestApplicationContext[] = [];
  readonly #reads: Read[] = [];
  readonly #invalidations: Invalidated[] = [];
  /** By app and feature: when work began that has succeeded, the latest. */
  readonly #latest = new Map<string, number>();
  readonly #loops: Promise<void>[] = [];
  #running = true;

  static async start(redis: RedisOptions, count = 3): Promise<FleetLoad> {
    const fleet = new FleetLoad();
    for (let i = 0; i < count; i++) fleet.apps.push(await fleet.#boot(redis, i));
    fleet.apps.forEach((app, i) => {
      fleet.#work(app, i);
    });
    await fleet.worksSince(performance.now());
    return fleet;
  }

  /** Waits until every app has succeeded in each feature with something that it began after `sinceMs`. Returns when, by feature. */
  async worksSince(sinceMs: number): Promise<Record<Feature, number>> {
    const doneMs: Partial<Record<Feature, number>> = {};
    await until(
      () => {
        for (const feature of FEATURES) {
          const all = this.apps.every((_, i) => (this.#latest.get(`${i} ${feature}`) ?? -Infinity) >= sinceMs);
          if (all) doneMs[feature] ??= performance.now();
        }
        return FEATURES.every((feature) => doneMs[feature] !== undefined);
      },
      { what: 'all features work in all apps', everyMs: 10, deadlineMs: 120_000 },
    );
    return doneMs as Record<Feature, number>;
  }

  /** Stops the load, lets the queue run dry, and closes the apps. It rejects if a call of an app never settles. */
  async stop(): Promise<void> {
    this.#running = false;
    let ended = 0;
    for (const loop of this.#loops) void loop.then(() => ended++);
    await until(() => ended === this.#loops.length, { what: 'every call has settled' });
    await until(
      async () => {
        const counts = await this.apps[0]!.get(QueueService).counts('tasks');
        return counts.waiting + counts.running + counts.delayed === 0;
      },
      { what: 'all tasks have run' },
    );
    await Promise.all(this.apps.map((app) => app.close()));
  }

  /** Ends the load of a test that has failed. */
  async abandon(): Promise<void> {
    this.#running = false;
    await Promise.all(this.apps.map((app) => app.close()));
  }

  /** Two holders at a time, and tokens that do not grow. */
  get violations(): Violation[] {
    return checkIntervals(this.holds);
  }

  /** Tasks that were acknowledged and never ran, and how many ran more than once. */
  get tasks(): { lost: Published[]; twice: number } {
    return {
      lost: this.published.filter(({ n }) => !this.runs.has(n)),
      twice: [...this.runs.values()].filter((count) => count > 1).length,
    };
  }

  /** By how many milliseconds reads were later than the bound after an invalidation whose value they still served. */
  stale(lostMs: readonly [number, number] = [Infinity, -Infinity]): number[] {
    const counted = this.#invalidations.filter(({ ackedMs }) => ackedMs < lostMs[0] || ackedMs > lostMs[1]);
    return this.#reads.flatMap((read) =>
      counted
        .filter(({ key, app, sentMs }) => key === read.key && app !== read.app && read.loadedMs < sentMs)
        .map(({ ackedMs }) => read.askedMs - ackedMs - BOUND_MS)
        .filter((ms) => ms > 0),
    );
  }

  async #boot(redis: RedisOptions, i: number): Promise<INestApplicationContext> {
    const ran = (task: Task<{ n: string }>): void => {
      this.runs.set(task.payload.n, (this.runs.get(task.payload.n) ?? 0) + 1);
      this.#latest.set(`${i} run`, performance.now());
    };
    class Jobs {
      @TaskHandler('tasks', { concurrency: 5 })
      handle(task: Task<{ n: string }>): void {
        ran(task);
      }
    }
    @Module({
      imports: [SluiceModule.forRoot({ namespace: 'fleet', redis, cache: { local: true } })],
      providers: [Jobs],
    })
    class App {}
    const app = await Test.createTestingModule({ imports: [App] })
      .setLogger(false as never)
      .compile();
    return app.init();
  }

  #work(app: INestApplicationContext, i: number): void {
    const [locks, cache, queue] = [app.get(LockService), app.get(CacheService), app.get(QueueService)];
    let count = 0;
    this.#loop(i, 'lock', 40, () =>
      locks.withLock(`own-${i}-${count++}`, { waitMs: 0, ttlMs: 5_000 }, () => undefined),
    );
    for (const name of NAMES) {
      this.#loop(i, undefined, 20, async () => {
        const lock = await locks.acquire(name, { ttlMs: 1_000, waitMs: 2_000 });
        const from = now();
        await pause(10);
        // It was held until it was given back, or lost.
        const to = lock.held ? now() : from;
        await lock.release();
        this.holds.push({ name, from, to, by: String(i), token: lock.fencingToken });
      });
    }
    const key = (): string => KEYS[count++ % KEYS.length]!;
    this.#loop(i, undefined, 10, async () => {
      const [askedMs, asked] = [performance.now(), key()];
      const { loadedMs } = await cache.getOrLoad(asked, () => ({ loadedMs: performance.now() }), { ttlMs: 60_000 });
      this.#reads.push({ app: i, key: asked, askedMs, loadedMs });
    });
    this.#loop(i, 'invalidate', 100, async () => {
      const [sentMs, invalidated] = [performance.now(), key()];
      await cache.delete(invalidated);
      this.#invalidations.push({ app: i, key: invalidated, sentMs, ackedMs: performance.now() });
    });
    this.#loop(i, 'publish', 30, async () => {
      const n = `${i}-${count++}`;
      await queue.publish('tasks', { n });
      this.published.push({ n, atMs: performance.now() });
    });
  }

  #loop(app: number, feature: Feature | undefined, restMs: number, work: () => Promise<unknown>): void {
    const run = async (): Promise<void> => {
      while (this.#running) {
        const beganMs = performance.now();
        try {
          await work();
          if (feature !== undefined) this.#latest.set(`${app} ${feature}`, beganMs);
        } catch (error) {
          this.errors.set(String((error as { code?: unknown }).code), String(error));
        }
        await pause(restMs);
      }
    };
    this.#loops.push(run());
  }
}
