/** From a holder's release to the next waiter's grant, in another process or the same. */
import { Redis } from 'ioredis';
import { once } from 'node:events';
import { forkApp, type ForkedApp } from '../../test/support/fork-app.js';
import type { BenchContext, Contenders, Measure } from './bench.js';
import type { Hold, Locker } from './lock.member.js';
import { LOCK_PEERS, type LockPeerName } from './peers/locks.js';
import { quantile } from './statistics.js';

const PROCESSES = 3;
const HOLD_MS = 5;

/** 30 waiters in 3 processes. */
export async function handoff({ redis, quick }: BenchContext): Promise<Contenders> {
  const fleet = await startFleet(redis.url, ['sluice', ...(Object.keys(LOCK_PEERS) as LockPeerName[])]);
  const figures =
    (passes: number, take: () => Promise<number[]>): Measure =>
    async () => {
      const gaps: number[] = [];
      for (let pass = 0; pass < passes; pass++) gaps.push(...(await take()));
      return [quantile(gaps, 0.5), quantile(gaps, 0.95)];
    };
  const passes = quick ? 2 : 5;
  // A pass of theirs takes seconds.
  const ofPeer = (name: LockPeerName) => [name, figures(1, () => fleet.gaps(name, 30))] as const;
  return {
    sluice: figures(passes, () => fleet.gaps('sluice', 30)),
    raw: figures(passes, () => fleet.chainGaps(30)),
    peers: Object.fromEntries((Object.keys(LOCK_PEERS) as LockPeerName[]).map(ofPeer)),
    close: () => fleet.stop(),
  };
}

export interface LockFleet {
  /** So many waiters at once on one lock: the gaps between a release and the next grant. */
  gaps(locker: Locker, waiters: number): Promise<number[]>;
  /** The same, passed on by bare PUBLISH. */
  chainGaps(length: number): Promise<number[]>;
  stop(): Promise<void>;
}

export async function startFleet(url: string, lockers: readonly Locker[]): Promise<LockFleet> {
  const client = new Redis(url);
  const fork = (): Promise<ForkedApp> =>
    forkApp(new URL('lock.member.js', import.meta.url), { env: { REDIS_URL: url } });
  const members = await Promise.all(Array.from({ length: PROCESSES }, fork));
  for (const locker of lockers) await Promise.all(members.map((member) => member.call('start', locker)));
  let pass = 0;
  return {
    async gaps(locker, waiters) {
      const name = `handoff:${++pass}`;
      const holds = await Promise.all(
        members.map((member, i) =>
          member.call<Hold[]>('wait', locker, name, Math.floor((waiters + i) / PROCESSES), HOLD_MS),
        ),
      );
      return gapsOf(holds.flat());
    },
    async chainGaps(length) {
      await Promise.all(members.map((member, me) => member.call('chain', me, PROCESSES, length, HOLD_MS)));
      const holds: Hold[] = [];
      const finished = new EventTarget();
      const offs = members.map((member) =>
        member.on('turn', (hold: Hold) => {
          if (holds.push(hold) === length) finished.dispatchEvent(new Event('end'));
        }),
      );
      const ended = once(finished, 'end');
      await client.publish(`turn:${1 % PROCESSES}`, '1');
      await ended;
      for (const off of offs) off();
      return gapsOf(holds);
    },
    async stop() {
      client.disconnect();
      await Promise.all(members.map((member) => member.kill()));
    },
  };
}

function gapsOf(holds: readonly Hold[]): number[] {
  const inOrder = [...holds].sort((a, b) => a.grantedAt - b.grantedAt);
  return inOrder.slice(1).map(({ grantedAt }, i) => grantedAt - (inOrder[i]?.releasedAt ?? Number.NaN));
}
