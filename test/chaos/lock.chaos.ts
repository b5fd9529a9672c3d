import { setTimeout as pause } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { FaultProxy, type RedisServer } from 'nestjs-sluice/testing';
import { defineChaos, holds, rejectsPlanted, type ChaosContext, type Verdict } from '../support/chaos.js';
import { losing } from '../support/data-loss.js';
import type { ForkedApp } from '../support/fork-app.js';
import { GrantOrder } from '../support/grant-order.js';
import { LEASE_MS, LockFleet, NAMES } from './lock-fleet.js';
import { costOfRelease } from './lock-release-cost.js';
import { distinctNames } from './lock-names.js';
import { withWorkers } from './lock-workers.js';

/** Half of what is to be granted in all: two scenarios share it. */
const GRANTS = 50_000;
const KEEPS_DATA = ['--appendonly', 'yes', '--appendfsync', 'no', '--enable-debug-command', 'yes'];

export default defineChaos({
  feature: 'lock',
  scenarios: {
    fleet: {
      about: '8 processes killed, paused, blocked; Redis hangs, restarts with its data, drops clients, forgets scripts',
      run: (ctx) => fleetUnderFire(ctx, KEEPS_DATA, () => ({})),
    },
    amnesia: {
      about: 'the same 8 processes; Redis loses its data in restarts and FLUSHALL, locks are deleted and forced',
      run: (ctx) => fleetUnderFire(ctx, ['--enable-debug-command', 'yes'], forgetting),
    },
    failover: { about: 'a replica that lags behind is promoted, again and again', run: failover },
    fifo: { about: '10,000 contended grants in the order of arrival', run: firstComeFirstServed },
    releaseCost: { about: 'what a release costs the server: 2 and 512 waiters in 8 processes', run: costOfRelease },
    names: { about: '100,000 names under contention: nothing stays behind', run: distinctNames },
  },
});

type Faults = Record<string, (victim: ForkedApp) => Promise<unknown>>;

async function fleetUnderFire(
  ctx: ChaosContext,
  args: string[],
  more: (redis: RedisServer, admin: Redis, fleet: LockFleet, ctx: ChaosContext) => Faults,
): Promise<Verdict[]> {
  const redis = await ctx.startRedis({ args });
  const admin = new Redis(redis.url);
  // It reports what its socket suffers; so do the verdicts.
  admin.on('error', () => {});
  const fleet = new LockFleet(redis.url);
  try {
    await fleet.fill();
    const faults = { ...faultsOf(redis, admin, fleet, ctx), ...more(redis, admin, fleet, ctx) };
    await fire(ctx, faults, fleet);
    return await fleet.verdicts(admin, ctx.budgetMs === undefined ? GRANTS : 100);
  } finally {
    await fleet.end();
    admin.disconnect();
  }
}

/** Draws faults until enough was granted, or the time is over. */
async function fire(ctx: ChaosContext, faults: Faults, fleet: LockFleet): Promise<void> {
  const counts: Record<string, number> = {};
  const names = Object.keys(faults);
  let granted = 0;
  for (let round = 0; ctx.budgetMs === undefined ? granted < GRANTS : ctx.more(round, 0); round++) {
    // Each at least once, then at random.
    const name = names[round] ?? names[Math.floor(ctx.random() * names.length)] ?? 'kill';
    counts[name] = (counts[name] ?? 0) + 1;
    await faults[name]?.(fleet.any(ctx.random()));
    // What was paused closes its books before anything happens to it again.
    await pause(200 + ctx.random() * 300);
    if (round % 10 === 9) granted = await fleet.grants();
  }
  const injected = Object.entries(counts).map(([name, count]) => `${name} ${count}`);
  ctx.log(injected.join(', '));
}

/** Under these nothing may go wrong at all. */
function faultsOf(redis: RedisServer, admin: Redis, fleet: LockFleet, ctx: ChaosContext): Faults {
  const stopFor = (leases: number) => async (victim: ForkedApp) => {
    victim.pause();
    await pause(LEASE_MS * leases);
    victim.resume();
  };
  return {
    kill: (victim) => fleet.replace(victim),
    'stop for half a lease': stopFor(0.5),
    'stop for 1.1 leases': stopFor(1.1),
    'stop for 3 leases': stopFor(3),
    'stop for longer than a waiter may be silent': stopFor(9),
    'block the event loop': (victim) => victim.call('block', LEASE_MS * (0.5 + ctx.random() * 2)),
    hang: async () => {
      redis.pause();
      await pause(100 + ctx.random() * 700);
      redis.resume();
    },
    'CLIENT PAUSE': () => admin.call('CLIENT', 'PAUSE', String(Math.ceil(100 + ctx.random() * 500)), 'ALL'),
    'DEBUG SLEEP': () => admin.call('DEBUG', 'SLEEP', String(0.1 + ctx.random() * 0.6)),
    'CLIENT KILL normal': () => admin.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes'),
    'CLIENT KILL pubsub': () => admin.call('CLIENT', 'KILL', 'TYPE', 'pubsub'),
    'SCRIPT FLUSH': () => admin.script('FLUSH'),
    'kill and restart': () => redis.kill().then(() => redis.restart()),
  };
}

/** After these, a holder of before may overlap the next one until its validity ends. Tokens go on rising all the same. */
function forgetting(redis: RedisServer, admin: Redis, fleet: LockFleet, ctx: ChaosContext): Faults {
  const any = (): string => NAMES[Math.floor(ctx.random() * NAMES.length)] ?? 'a';
  return {
    'kill and restart': () => losing(fleet.losses, () => redis.kill().then(() => redis.restart())),
    FLUSHALL: () => losing(fleet.losses, () => admin.flushall()),
    DEL: () => {
      const name = any();
      return losing(fleet.losses, () => admin.del(`lock:${name}`), name);
    },
    forceRelease: (victim) => {
      const name = any();
      return losing(fleet.losses, () => victim.call('force', name), name);
    },
  };
}

/** A replica stops following, is promoted a moment later, and the writes of that moment are gone. */
async function failover(ctx: ChaosContext): Promise<Verdict[]> {
  let [primary, replica] = [await ctx.startRedis(), await startReplica(ctx)];
  await follow(replica, primary);
  const proxy = await FaultProxy.to(primary.port);
  const fleet = new LockFleet(proxy.url);
  const admin = new Redis(proxy.port);
  admin.on('error', () => {});
  try {
    await fleet.fill();
    let rounds = 0;
    for (; ctx.more(rounds, 20); rounds++) {
      await pause(500 + ctx.random() * 500);
      const promoted = replica;
      await losing(fleet.losses, async () => {
        await command(promoted, 'REPLICAOF', 'NO', 'ONE');
        await pause(ctx.random() * 200);
        proxy.switchTo(promoted.port);
      });
      [primary, replica] = [replica, primary];
      await follow(replica, primary);
    }
    ctx.log(`${rounds} promotions, each of a replica that lagged up to 200 ms`);
    return await fleet.verdicts(admin, 1_000);
  } finally {
    await fleet.end();
    admin.disconnect();
    await proxy.close();
  }
}

function startReplica(ctx: ChaosContext): Promise<RedisServer> {
  return ctx.startRedis({ args: ['--repl-diskless-sync-delay', '0'] });
}

async function follow(replica: RedisServer, primary: RedisServer): Promise<void> {
  await command(replica, 'REPLICAOF', '127.0.0.1', String(primary.port));
  for (let i = 0; i < 200; i++) {
    if (String(await command(replica, 'INFO', 'replication')).includes('master_link_status:up')) return;
    await pause(50);
  }
  throw new Error('the replica did not catch up');
}

async function command(server: RedisServer, name: string, ...args: string[]): Promise<unknown> {
  const client = new Redis(server.url);
  try {
    return await client.call(name, ...args);
  } finally {
    client.disconnect();
  }
}

async function firstComeFirstServed(ctx: ChaosContext): Promise<Verdict[]> {
  const redis = await ctx.startRedis();
  return withWorkers(redis, 4, async (workers) => {
    const order = await GrantOrder.watch(redis.url, 'busy');
    const hammer = { name: 'busy', waiters: 10, rounds: 250, holdMs: 0 };
    await Promise.all(workers.map((app) => app.call('hammer', hammer)));
    const { grants, outOfTurn } = await order.end();
    return [
      holds('10,000 are granted', grants === 10_000, `${grants}`),
      holds('none out of turn', outOfTurn.length === 0, outOfTurn.slice(0, 3).join('; ') || undefined),
      rejectsPlanted('a grant to the second in the queue', await grantToTheSecond(redis)),
    ];
  });
}

async function grantToTheSecond(redis: RedisServer): Promise<string[]> {
  const order = await GrantOrder.watch(redis.url, 'planted');
  const client = new Redis(redis.url);
  try {
    for (const [place, nonce] of ['first', 'second'].entries())
      await client.zadd('{lock:planted}:~queue', 'NX', place, nonce);
    await client.set('lock:planted', 'second', 'PX', 1_000);
  } finally {
    client.disconnect();
  }
  return (await order.end()).outOfTurn;
}
