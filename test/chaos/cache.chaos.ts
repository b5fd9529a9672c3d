import { Redis } from 'ioredis';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { FaultProxy } from 'nestjs-sluice/testing';
import { cold, failing, governor, tagged, takeover } from './cache.stampede.js';
import type { ChaosWorkerSettings } from '../apps/cache-chaos-worker.js';
import { defineChaos, holds, rejectsPlanted, type ChaosContext, type Verdict } from '../support/chaos.js';
import { forkApp, type ForkedApp } from '../support/fork-app.js';
import { until } from '../support/until.js';
import { readVersionHistory, staleReads, type StaleRead, type VersionHistory } from '../support/version-history.js';

const PROCESSES = 4;
const KEYS_EACH = 2;
const LEASE_MS = 300;
/** Other processes see an invalidation within this. */
const BOUND_MS = 1_000;
const FAULTS = 80;
/** Reads and acknowledged invalidations to be checked against one another. */
const HISTORIES = 100_000;

const keys = Array.from({ length: PROCESSES * KEYS_EACH }, (_, i) => `key-${i}`);

/** The fleet, its two servers and what was done to them. */
class Arena {
  readonly counts = {
    kill: 0,
    pause: 0,
    'cut subscribers': 0,
    'cut commands': 0,
    'deaf subscribers': 0,
    evict: 0,
    flush: 0,
  };
  readonly evicted: Record<string, number> = {};
  readonly fleet: ForkedApp[] = [];
  readonly dir = mkdtempSync(join(tmpdir(), 'cache-chaos-'));
  readonly #ctx: ChaosContext;
  #starts = 0;
  #urls = { url: '', sourceUrl: '' };
  #proxy!: FaultProxy;
  admin!: Redis;
  source!: Redis;

  constructor(ctx: ChaosContext) {
    this.#ctx = ctx;
  }

  async open(busy = true): Promise<void> {
    const [cache, source] = [await this.#ctx.startRedis(), await this.#ctx.startRedis()];
    this.#proxy = await FaultProxy.to(cache.port);
    this.#urls = { url: this.#proxy.url, sourceUrl: source.url };
    this.admin = new Redis(cache.url);
    this.source = new Redis(source.url);
    for (let i = 0; i < PROCESSES; i++) await this.#start(i, busy);
  }

  async #start(place: number, busy = true): Promise<void> {
    const own = keys.slice(place * KEYS_EACH, (place + 1) * KEYS_EACH);
    const by = `p${place}-${++this.#starts}`;
    const settings: ChaosWorkerSettings = { ...this.#urls, dir: this.dir, by, leaseMs: LEASE_MS, keys, own };
    const app = await forkApp('cache-chaos-worker', { env: { WORKER: JSON.stringify(settings) } });
    if (busy) await app.call('go');
    this.fleet[place] = app;
  }

  async fault(): Promise<void> {
    const { random } = this.#ctx;
    const place = Math.floor(random() * PROCESSES);
    const app = this.fleet[place] as ForkedApp;
    const draw = random();
    if (draw < 0.2) {
      this.counts.kill++;
      await app.kill();
      await this.#start(place);
    } else if (draw < 0.4) {
      this.counts.pause++;
      app.pause();
      await pause(LEASE_MS * (1.1 + random()));
      app.resume();
    } else if (draw < 0.5) {
      this.counts['cut subscribers']++;
      await this.admin.call('CLIENT', 'KILL', 'TYPE', 'pubsub');
    } else if (draw < 0.6) {
      this.counts['cut commands']++;
      await this.admin.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
    } else if (draw < 0.7) {
      this.counts['deaf subscribers'] += this.#proxy.deafen();
    } else if (draw < 0.95) {
      await this.#evict();
    } else {
      this.counts.flush++;
      await this.admin.flushall();
    }
    await pause(random() * 300);
  }

  /** What `maxmemory` would do to a key of some kind. */
  async #evict(): Promise<void> {
    const { random } = this.#ctx;
    const kindOf = (key: string): string => /~[a-z]+/.exec(key)?.[0] ?? 'value';
    const found = await this.admin.keys('*');
    const kinds = [...new Set(found.map(kindOf))];
    const kind = kinds[Math.floor(random() * kinds.length)] ?? 'none';
    const those = found.filter((key) => kindOf(key) === kind);
    const key = those[Math.floor(random() * those.length)];
    if (key === undefined) return;
    this.counts.evict++;
    this.evicted[kind] = (this.evicted[kind] ?? 0) + 1;
    await this.admin.del(key);
  }

  /** Each process reads each key once more, when everything has settled. */
  async readAll(): Promise<void> {
    for (const app of this.fleet) for (const key of keys) await app.call('read', key);
  }

  /**
   * How many loads can be accounted for. What reaches all keys costs a load of each; a process without its commands loads for
   * itself what it reads, and under `strict` once for each caller.
   */
  async loadsAllowed(): Promise<number> {
    const { kill, pause: paused, flush, evict, 'cut commands': cut } = this.counts;
    const done = await this.invalidations();
    const everywhere = 1 + kill + paused + flush + evict + (done['clear'] ?? 0) + cut * PROCESSES * 4;
    return keys.length * everywhere + Object.values(done).reduce((sum, each) => sum + each, 0);
  }

  /** How many of which kind were begun. */
  async invalidations(): Promise<Record<string, number>> {
    const kinds = await this.source.keys('done:*');
    const counts = await Promise.all(kinds.map((kind) => this.source.get(kind)));
    return Object.fromEntries(kinds.map((kind, i) => [kind.slice('done:'.length), Number(counts[i])]));
  }

  async leases(prefix: string): Promise<number> {
    return (await this.admin.keys(`{chaos:cache}~lease:${prefix}*`)).length;
  }

  async values(prefix: string): Promise<string[]> {
    const found = await this.admin.mget(await this.admin.keys(`{chaos:cache}:${prefix}*`));
    return found.map((stored) => JSON.parse((stored ?? '').replace(/^.*\n/, '')) as string);
  }

  /** Without a time to be ended by, until there is enough to check. */
  async enough(): Promise<boolean> {
    return this.#ctx.budgetMs !== undefined || Number(await this.source.get('reads')) >= HISTORIES;
  }

  async loads(): Promise<number> {
    const counts = await this.source.mget(keys.map((key) => `loads:${key}`));
    return counts.reduce((sum, count) => sum + Number(count), 0);
  }

  async close(): Promise<void> {
    await Promise.all(this.fleet.map((app) => app.kill()));
    await this.#proxy.close();
    this.admin.disconnect();
    this.source.disconnect();
    rmSync(this.dir, { recursive: true });
  }
}

async function resurrection(ctx: ChaosContext): Promise<Verdict[]> {
  const arena = new Arena(ctx);
  try {
    await arena.open();
    for (let done = 0; ctx.more(done, FAULTS) || !(await arena.enough()); done++) await arena.fault();
    await Promise.all(arena.fleet.map((app) => app.call('halt')));
    ctx.log(`${PROCESSES} processes, ${keys.length} keys; ${JSON.stringify(arena.counts)}`);
    ctx.log(`evicted ${JSON.stringify(arena.evicted)}, invalidated by ${JSON.stringify(await arena.invalidations())}`);
    await pause(BOUND_MS);
    await arena.readAll();

    const history = readVersionHistory(arena.dir);
    const stale = staleReads(history, BOUND_MS);
    const [loads, allowed] = [await arena.loads(), await arena.loadsAllowed()];
    const counted = `${history.reads.length} reads, ${history.invalidations.length} acknowledged invalidations`;
    const left = (await arena.admin.keys('*')).filter((key) => /~(lease|slots|queue)/.test(key));
    const strict = history.reads.filter((read) => read.strict);
    const [staleStrict, staleBounded] = [
      stale.filter(({ read }) => read.strict),
      stale.filter(({ read }) => !read.strict),
    ];
    return [
      holds(
        'no strict read gets what was invalidated before it began',
        staleStrict.length === 0 && strict.length > 0,
        firsts(staleStrict) || `${strict.length} strict reads`,
      ),
      holds(
        `no read gets what was invalidated ${BOUND_MS} ms before it began`,
        staleBounded.length === 0,
        firsts(staleBounded) || counted,
      ),
      holds('every load is accounted for', loads <= allowed, `${loads} loads, at most ${allowed}`),
      holds('no lease is left', left.length === 0, `${left.length} leases`),
      rejectsPlanted('a fill that nobody refused', await plantOldFill(arena)),
      rejectsPlanted('a strict read that joined an older one', staleReads(joined(history), BOUND_MS)),
    ];
  } finally {
    await arena.close();
  }
}

/** What a cache without fences would do: a load that began long ago stores its value, in the epochs of now. */
async function plantOldFill(arena: Arena): Promise<StaleRead[]> {
  for (const key of keys) {
    const stored = await arena.admin.get(`{chaos:cache}:${key}`);
    await arena.admin.set(`{chaos:cache}:${key}`, (stored ?? '').replace(/\n.*/s, '\n0'), 'PX', 60_000);
  }
  for (const app of arena.fleet) for (const key of keys) await app.call('read', key, true);
  return staleReads(readVersionHistory(arena.dir), BOUND_MS);
}

/** The same history, but for one strict read that gets what its predecessor would have got. */
function joined({ reads, invalidations }: VersionHistory): VersionHistory {
  const last = invalidations.filter(({ version }) => version > 1).at(-1);
  if (!last) return { reads: [], invalidations };
  const read = { key: last.key, version: last.version - 1, start: last.acknowledged + 1n, by: 'planted', strict: true };
  return { reads: [...reads, read], invalidations };
}

const ZOMBIES = 100;

/** Loading processes that sleep past their leases and wake up with their loads done. */
async function zombie(ctx: ChaosContext): Promise<Verdict[]> {
  const arena = new Arena(ctx);
  try {
    await arena.open(false);
    const [sleeper, taker] = arena.fleet as [ForkedApp, ForkedApp];
    let rejected = 0;
    let rounds = 0;
    const wrong: string[] = [];
    for (; rounds === 0 || ctx.more(rounds, 1); rounds++) {
      const prefix = `held-${rounds}-`;
      const slept = sleeper.call<string[]>('hold', prefix, ZOMBIES, LEASE_MS);
      await until(async () => (await arena.leases(prefix)) === ZOMBIES, { what: 'all load', everyMs: 5 });
      sleeper.pause();
      // Each is taken over once its lease has ended.
      const taken = await taker.call<string[]>('hold', prefix, ZOMBIES, 1);
      sleeper.resume();
      // Its callers get what they loaded; or, told in time that it is void, what the other did.
      await slept;
      const by = new Set(taken);
      const stored = await arena.values(prefix);
      rejected += stored.filter((value) => !value.startsWith('p0-') && by.has(value)).length;
      wrong.push(...mixed(stored, by));
    }
    return [
      holds(
        'no fill of a process that slept past its lease is stored',
        rejected === ZOMBIES * rounds,
        `${rejected} rejected`,
      ),
      holds('who took over is what everybody reads', wrong.length === 0, `${wrong.length} values of others`),
      rejectsPlanted(
        'a fill of a sleeper',
        mixed([...(await arena.values('held-0-')), 'sleeper'], new Set(await arena.values('held-0-'))),
      ),
    ];
  } finally {
    await arena.close();
  }
}

/** Values that were not stored by who took over. */
function mixed(stored: readonly string[], by: ReadonlySet<string>): string[] {
  return stored.filter((value) => !by.has(value));
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
      about:
        'loads race deletes, sets, tags and clears while processes are killed and paused past their leases, connections cut, ' +
        'subscribers go deaf, keys of every kind are evicted, and everything is flushed',
      run: resurrection,
    },
    zombie: { about: '100 loaders are paused past their leases, and wake up with their loads done', run: zombie },
    cold: { about: '10 processes × 100 callers × 1,000 cold keys, arriving over two load times', run: cold },
    governor: { about: '10,000 cold keys at once, at a source that takes 8 loads', run: governor },
    failing: { about: 'a source that is down, under 1,000 calls per second in 4 processes', run: failing },
    takeover: { about: 'loading processes are killed', run: takeover },
    tagged: { about: 'a tag of 100,000 values is invalidated', run: tagged },
  },
});
