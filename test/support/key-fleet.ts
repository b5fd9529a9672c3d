import { Redis } from 'ioredis';
import type { RedisServer } from 'nestjs-sluice/testing';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { forkApp, type ForkedApp } from './fork-app.js';
import { KEY_MODES, readKeyRecords, type KeyRecord } from './key-records.js';
import { startQueueApp } from './queue-app.js';
import { until } from './until.js';

const PUBLISHERS = 4;
const WORKERS = 2;

export interface KeyFleetOptions {
  redis: RedisServer;
  /** For the records. */
  dir: string;
  /** How many items each publisher publishes, in each mode. */
  each: number;
  random: () => number;
}

export interface KeyFleetRun {
  readonly records: readonly KeyRecord[];
  readonly faults: Readonly<Record<'workers' | 'publishers' | 'cut', number>>;
  /** How often a publish was repeated, in publishers that were not killed. */
  readonly repeated: number;
}

/**
 * Four processes publish under one key of each mode, all at once, and two run the tasks. Meanwhile some of both kinds are killed and
 * connections are cut. Resolves when nothing is left to do.
 */
export async function runKeys({ redis, dir, each, random }: KeyFleetOptions): Promise<KeyFleetRun> {
  const path = join(dir, 'records');
  writeFileSync(path, '');
  const admin = new Redis(redis.url, { protocol: 2 });
  const apps = new Set<ForkedApp>();
  const faults = { workers: 0, publishers: 0, cut: 0 };
  let repeated = 0;
  let names = 0;
  const start = async (app: string): Promise<ForkedApp> => {
    const NAME = `${String.fromCharCode(97 + (names % 26))}${names++}_`;
    const forked = await forkApp(app, { env: { REDIS_URL: redis.url, RECORDS: path, NAME } });
    apps.add(forked);
    return forked;
  };
  const publishing = new Map<ForkedApp, Promise<void>>();
  const publisher = async (): Promise<void> => {
    const app = await start('key-publisher');
    const done = app.call<number>('publish', 0, each).then(
      (count) => {
        repeated += count;
        publishing.delete(app);
      },
      // It was killed.
      () => publishing.delete(app),
    );
    publishing.set(
      app,
      done.then(() => {}),
    );
  };
  const one = <T>(of: readonly T[]): T | undefined => of[Math.floor(random() * of.length)];
  try {
    const workers = await Promise.all(Array.from({ length: WORKERS }, () => start('key-worker')));
    await Promise.all(Array.from({ length: PUBLISHERS }, publisher));
    while (publishing.size > 0) {
      await pause(50 + random() * 150);
      const draw = random();
      if (draw < 0.15) {
        faults.workers++;
        const [victim] = workers.splice(Math.floor(random() * workers.length), 1);
        await victim?.kill();
        workers.push(await start('key-worker'));
      } else if (draw < 0.25 && faults.publishers < PUBLISHERS) {
        const victim = one([...publishing.keys()]);
        if (!victim) continue;
        faults.publishers++;
        await victim.kill();
        await publisher();
      } else {
        faults.cut++;
        await admin.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
      }
    }
    await settled(redis.url);
    return { records: readKeyRecords(path), faults, repeated };
  } finally {
    await Promise.all([...apps].map((app) => app.kill()));
    admin.disconnect();
  }
}

/** Waits until no queue has a task left. It connects after the last cut: a read on a cut connection is refused at once. */
async function settled(url: string): Promise<void> {
  const { app, queue } = await startQueueApp({ url });
  try {
    const rests = async (): Promise<boolean> => {
      const counts = await Promise.all(KEY_MODES.map((mode) => queue.counts(mode)));
      return counts.every(({ waiting, running, delayed }) => waiting + running + delayed === 0);
    };
    await until(rests, { what: 'all is settled' });
  } finally {
    await app.close();
  }
}
