/** An app that takes locks, reads and invalidates a cache with local copies, and publishes and runs tasks, all the time. */
import { setTimeout as pause } from 'node:timers/promises';
import { Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import {
  CacheService,
  LockService,
  QueueService,
  SluiceModule,
  TaskHandler,
  type RedisOptions,
  type Task,
} from 'nestjs-sluice';
import { serve } from '../support/app-host.js';
import type { Feature, FleetRecords, Work } from '../support/fleet-records.js';
import { now, nowMs } from '../support/history.js';

export interface FleetMemberSettings {
  redis: RedisOptions;
  by: string;
  features: readonly Feature[];
}

const { redis, by, features } = JSON.parse(process.env['MEMBER'] ?? '') as FleetMemberSettings;
const NAMES = ['a', 'b'];
const KEYS = ['k0', 'k1', 'k2'];

const records: FleetRecords = {
  ...{ published: [], runs: [], holds: [], invalidations: [], reads: [], errors: new Map() },
};
/** When work began that has succeeded, the latest. */
const latest: Partial<Record<Work, number>> = {};
let loops = 0;
let running = true;
let count = 0;

class Jobs {
  @TaskHandler('tasks', { concurrency: 5 })
  handle({ payload: { n } }: Task<{ n: string }>): void {
    records.runs.push(n);
    latest.run = nowMs();
  }
}

@Module({
  imports: [SluiceModule.forRoot({ namespace: 'fleet', redis, cache: { local: true } })],
  providers: features.includes('queue') ? [Jobs] : [],
})
class App {}

const app = await NestFactory.createApplicationContext(App, { logger: false });
const [locks, cache, queue] = [app.get(LockService), app.get(CacheService), app.get(QueueService)];

function loop(what: Work | undefined, restMs: number, work: () => Promise<unknown>): void {
  loops++;
  void (async () => {
    while (running) {
      const beganMs = nowMs();
      try {
        await work();
        if (what !== undefined) latest[what] = beganMs;
      } catch (error) {
        records.errors.set(String((error as { code?: unknown }).code), String(error));
      }
      await pause(restMs);
    }
    loops--;
  })();
}

const work: Record<Feature, () => void> = {
  lock: () => {
    loop('lock', 40, () => locks.withLock(`own-${by}-${count++}`, { waitMs: 0, ttlMs: 5_000 }, () => undefined));
    for (const name of NAMES) {
      loop(undefined, 20, async () => {
        const lock = await locks.acquire(name, { ttlMs: 1_000, waitMs: 2_000 });
        const from = now();
        await pause(10);
        // It was held until it was given back, or lost.
        const to = lock.held ? now() : from;
        records.holds.push({ name, from, to, by, token: lock.fencingToken });
        await lock.release();
      });
    }
  },
  cache: () => {
    const key = (): string => KEYS[count++ % KEYS.length]!;
    loop(undefined, 10, async () => {
      const [askedMs, asked] = [nowMs(), key()];
      const { loadedMs } = await cache.getOrLoad(asked, () => ({ loadedMs: nowMs() }), { ttlMs: 60_000 });
      records.reads.push({ by, key: asked, askedMs, loadedMs });
    });
    loop('invalidate', 100, async () => {
      const [sentMs, invalidated] = [nowMs(), key()];
      await cache.delete(invalidated);
      records.invalidations.push({ by, key: invalidated, sentMs, ackedMs: nowMs() });
    });
  },
  queue: () => {
    for (const delayMs of [0, 500]) {
      loop('publish', 40, async () => {
        const n = `${by}-${count++}`;
        await queue.publish('tasks', { n }, { delayMs });
        records.published.push({ n, atMs: nowMs() });
      });
    }
  },
};
for (const feature of features) work[feature]();

serve({
  ops: {
    latest: () => latest,
    halt: () => {
      running = false;
    },
    /** How many loops still work. One does for ever if a call of the app never settles. */
    working: () => loops,
    left: async () => {
      const { waiting, running, delayed } = await queue.counts('tasks');
      return waiting + running + delayed;
    },
    records: () => records,
  },
  stop: () => app.close(),
});
