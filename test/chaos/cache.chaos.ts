import { Redis } from 'ioredis';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import type { ChaosWorkerSettings } from '../apps/cache-chaos-worker.js';
import { defineChaos, holds, rejectsPlanted, type ChaosContext, type Verdict } from '../support/chaos.js';
import { forkApp, type ForkedApp } from '../support/fork-app.js';
import { readVersionHistory, staleReads, type StaleRead } from '../support/version-history.js';

const PROCESSES = 4;
const KEYS_EACH = 2;
const LEASE_MS = 300;
/** Other processes see an invalidation within this. */
const BOUND_MS = 1_000;
const FAULTS = 60;

const keys = Array.from({ length: PROCESSES * KEYS_EACH }, (_, i) => `key-${i}`);

/** The fleet, its two servers and what was done to them. */
class Arena {
  readonly counts = { kill: 0, pause: 0, 'cut subscribers': 0, 'cut commands': 0 };
  readonly fleet: ForkedApp[] = [];
  readonly dir = mkdtempSync(join(tmpdir(), 'cache-chaos-'));
  readonly #ctx: ChaosContext;
  #starts = 0;
  #urls = { url: '', sourceUrl: '' };
  admin!: Redis;
  source!: Redis;

  constructor(ctx: ChaosContext) {
    this.#ctx = ctx;
  }

  async open(): Promise<void> {
    const [cache, source] = [await this.#ctx.startRedis(), await this.#ctx.startRedis()];
    this.#urls = { url: cache.url, sourceUrl: source.url };
    this.admin = new Redis(cache.url);
    this.source = new Redis(source.url);
    for (let i = 0; i < PROCESSES; i++) await this.#start(i);
  }

  async #start(place: number): Promise<void> {
    const own = keys.slice(place * KEYS_EACH, (place + 1) * KEYS_EACH);
    const by = `p${place}-${++this.#starts}`;
    const settings: ChaosWorkerSettings = { ...this.#urls, dir: this.dir, by, leaseMs: LEASE_MS, keys, own };
    const app = await forkApp('cache-chaos-worker', { env: { WORKER: JSON.stringify(settings) } });
    await app.call('go');
    this.fleet[place] = app;
  }

  async fault(): Promise<void> {
    const { random } = this.#ctx;
    const place = Math.floor(random() * PROCESSES);
    const app = this.fleet[place] as ForkedApp;
    const draw = random();
    if (draw < 0.3) {
      this.counts.kill++;
      await app.kill();
      await this.#start(place);
    } else if (draw < 0.7) {
      this.counts.pause++;
      app.pause();
      await pause(LEASE_MS * (1.1 + random()));
      app.resume();
    } else if (draw < 0.85) {
      this.counts['cut subscribers']++;
      await this.admin.call('CLIENT', 'KILL', 'TYPE', 'pubsub');
    } else {
      this.counts['cut commands']++;
      await this.admin.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
    }
    await pause(random() * 300);
  }

  /** Each process reads each key once more, when everything has settled. */
  async readAll(): Promise<void> {
    for (const app of this.fleet) for (const key of keys) await app.call('read', key);
  }

  /** How many loads can be accounted for: cold keys, invalidations, and what each fault may cost. */
  async loadsAllowed(): Promise<number> {
    const { kill, pause: paused, 'cut commands': cut } = this.counts;
    const invalidations = Number(await this.source.get('invalidations'));
    return keys.length * (1 + kill + paused + cut * PROCESSES) + invalidations;
  }

  async loads(): Promise<number> {
    const counts = await this.source.mget(keys.map((key) => `loads:${key}`));
    return counts.reduce((sum, count) => sum + Number(count), 0);
  }

  async close(): Promise<void> {
    await Promise.all(this.fleet.map((app) => app.kill()));
    this.admin.disconnect();
    this.source.disconnect();
    rmSync(this.dir, { recursive: true });
  }
}

async function resurrection(ctx: ChaosContext): Promise<Verdict[]> {
  const arena = new Arena(ctx);
  try {
    await arena.open();
    for (let done = 0; ctx.more(done, FAULTS); done++) await arena.fault();
    await Promise.all(arena.fleet.map((app) => app.call('halt')));
    ctx.log(`${PROCESSES} processes, ${keys.length} keys; ${JSON.stringify(arena.counts)}`);
    await pause(BOUND_MS);
    await arena.readAll();

    const history = readVersionHistory(arena.dir);
    const stale = staleReads(history, BOUND_MS);
    const [loads, allowed] = [await arena.loads(), await arena.loadsAllowed()];
    const counted = `${history.reads.length} reads, ${history.invalidations.length} acknowledged invalidations`;
    const left = (await arena.admin.keys('*')).filter((key) => !key.startsWith('{chaos:cache}:key-'));
    return [
      holds('no read gets what was invalidated before it began', stale.length === 0, firsts(stale) || counted),
      holds('every load is accounted for', loads <= allowed, `${loads} loads, at most ${allowed}`),
      holds('nothing but values is left', left.length === 0, `${left.length} other keys`),
      rejectsPlanted('a fill that nobody refused', await plantOldFill(arena)),
    ];
  } finally {
    await arena.close();
  }
}

/** What a cache without fences would do: a load that began long ago stores its value. */
async function plantOldFill(arena: Arena): Promise<StaleRead[]> {
  await Promise.all(keys.map((key) => arena.admin.set(`{chaos:cache}:${key}`, '0')));
  await arena.readAll();
  return staleReads(readVersionHistory(arena.dir), BOUND_MS);
}

function firsts(stale: readonly StaleRead[]): string {
  return stale
    .slice(0, 3)
    .map(({ read, missed }) => {
      const lateMs = Number(read.start - missed.acknowledged) / 1e6;
      return `${read.by} read ${read.key} v${read.version}, ${lateMs} ms after ${missed.by} had invalidated for v${missed.version}`;
    })
    .join('; ');
}

export default defineChaos({
  feature: 'cache',
  scenarios: {
    resurrection: {
      about: 'loads race deletes and sets while processes are killed and paused past their leases, and connections cut',
      run: resurrection,
    },
  },
});
