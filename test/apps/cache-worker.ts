/** One process of a fleet that shares a cache: a Nest app whose loads its parent counts. */
import { Inject, Injectable, Module, type NestApplicationOptions } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { setImmediate as turn, setTimeout as pause } from 'node:timers/promises';
import {
  CacheService,
  CacheStampedeSafe,
  SluiceCacheModule,
  type CacheOptions,
  type SluiceCacheModuleOptions,
} from 'nestjs-sluice/cache';
import { SluiceRedisModule } from 'nestjs-sluice/redis';
import { emit, serve } from '../support/app-host.js';
import { now } from '../support/history.js';

export interface WorkerSettings {
  url: string;
  namespace: string;
  cache: SluiceCacheModuleOptions;
}

/** What a load made: unique in the fleet. */
export interface Loaded {
  by: number;
  load: number;
}

export interface LoadEvent {
  key: string;
  at: bigint;
}

export interface BurstOrder {
  key: string;
  callers: number;
  loaderMs: number;
  /** Callers arrive evenly drawn from this long a time. */
  spreadMs: number;
  /** When the first may arrive, on the machine's monotonic clock. */
  startAt: bigint;
  /** Every load throws this. */
  fails?: string;
  options?: CacheOptions;
}

export interface ColdOrder {
  /** As many cold keys, `<prefix>0` and on. */
  prefix: string;
  keys: number;
  /** Callers of each key, who arrive evenly drawn from `spreadMs`. */
  callers: number;
  spreadMs: number;
  loaderMs: number;
  startAt: bigint;
  options?: CacheOptions;
}

/** What the callers of a key got: the load that made it, or more than one. */
export interface ColdKey {
  key: string;
  got: string[];
}

/** One run of a loader, on the machine's monotonic clock. */
export interface LoadSpan {
  key: string;
  from: bigint;
  to: bigint;
}

const settings = JSON.parse(process.env['WORKER'] ?? '') as WorkerSettings;
let loads = 0;
const spans: LoadSpan[] = [];

async function load(key: string, loaderMs: number, fails?: string): Promise<Loaded> {
  emit('load', { key, at: now() } satisfies LoadEvent);
  const loaded = { by: process.pid, load: ++loads };
  // Without a timer for 0: a source that answers at once.
  if (loaderMs > 0) await pause(loaderMs);
  if (fails !== undefined) throw new RangeError(fails);
  return loaded;
}

@Injectable()
class Catalog {
  @CacheStampedeSafe()
  async product(id: string, loaderMs: number): Promise<Loaded> {
    return load(`product ${id}`, loaderMs);
  }
}

/** A load that is noted here, rather than told at once. */
async function quietLoad(key: string, loaderMs: number): Promise<string> {
  const from = now();
  await pause(loaderMs);
  spans.push({ key, from, to: now() });
  return `${process.pid}.${++loads}`;
}

/** Callers who arrive in one turn of the event loop. */
const AT_ONCE = 50;

@Injectable()
class Fleet {
  constructor(
    @Inject(CacheService) readonly cache: CacheService,
    @Inject(Catalog) readonly catalog: Catalog,
  ) {}

  async cold({ prefix, keys, callers, spreadMs, loaderMs, startAt, options }: ColdOrder): Promise<ColdKey[]> {
    const got = Array.from({ length: keys }, (_, i) => ({ key: `${prefix}${i}`, got: new Set<string>() }));
    const arrivals = got.flatMap((of) =>
      Array.from({ length: callers }, () => ({ of, atMs: Math.random() * spreadMs })),
    );
    arrivals.sort((a, b) => a.atMs - b.atMs);
    const calls: Promise<unknown>[] = [];
    while (calls.length < arrivals.length) {
      const sinceMs = Number(now() - startAt) / 1e6;
      const due = arrivals.slice(calls.length, calls.length + AT_ONCE).filter(({ atMs }) => atMs <= sinceMs);
      for (const { of } of due) {
        const call = this.cache.getOrLoad(of.key, () => quietLoad(of.key, loaderMs), options);
        calls.push(call.then((value) => of.got.add(value)));
      }
      // Sockets are read between any two handfuls, however late they are: callers who come from sockets are no other.
      await (due.length < AT_ONCE ? pause(1) : turn());
    }
    await Promise.all(calls);
    return got.map(({ key, got: values }) => ({ key, got: [...values] }));
  }

  burst({
    key,
    callers,
    loaderMs,
    spreadMs,
    startAt,
    fails,
    options,
  }: BurstOrder): Promise<PromiseSettledResult<Loaded>[]> {
    return Promise.allSettled(
      Array.from({ length: callers }, async () => {
        const waitMs = Number(startAt - now()) / 1e6 + Math.random() * spreadMs;
        if (waitMs > 0) await pause(waitMs);
        return this.cache.getOrLoad(key, () => load(key, loaderMs, fails), options);
      }),
    );
  }
}

@Module({
  imports: [
    SluiceRedisModule.forRoot({ namespace: settings.namespace, redis: { url: settings.url } }),
    SluiceCacheModule.forRoot(settings.cache),
  ],
  providers: [Catalog, Fleet],
})
class WorkerModule {}

const quiet: Readonly<NestApplicationOptions> = { logger: ['error'] };
const app = await NestFactory.createApplicationContext(WorkerModule, quiet);
const fleet = app.get(Fleet);

serve({
  ops: {
    burst: (order: BurstOrder) => fleet.burst(order),
    cold: (order: ColdOrder) => fleet.cold(order),
    spans: () => spans.splice(0),
    large: (key: string, bytes: number) =>
      fleet.cache.getOrLoad(key, () => load(key, 100).then(() => 'x'.repeat(bytes))),
    read: (key: string, loaderMs: number) => fleet.cache.getOrLoad(key, () => load(key, loaderMs)),
    get: (key: string) => fleet.cache.get(key),
    delete: (key: string) => fleet.cache.delete(key),
    product: (id: string, loaderMs: number) => fleet.catalog.product(id, loaderMs),
  },
  stop: () => app.close(),
});
