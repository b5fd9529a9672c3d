/** Rate limits in several processes: the worst window, and turns. */
import { randomUUID } from 'node:crypto';
import { Redis } from 'ioredis';
import { forkApp, type ForkedApp } from '../../test/support/fork-app.js';
import type { BenchContext, Contenders, Measure } from './bench.js';
import type { Admitted, LimiterName, PacerName, Started } from './limit.member.js';
import { nowMs } from './now.js';
import { LIMIT_PEERS, type LimitPeerName } from './peers/limiters.js';
import { quantile } from './statistics.js';

const fork = (url: string, processes: number): Promise<ForkedApp[]> => {
  const one = (): Promise<ForkedApp> =>
    forkApp(new URL('limit.member.js', import.meta.url), { env: { REDIS_URL: url } });
  return Promise.all(Array.from({ length: processes }, one));
};

const WINDOW = { limit: 60, perMs: 2_000 };

/**
 * Four processes call 60 times per window of 2 s, as late as they may: once, then 59 times at 80 % of the window, then 60 times at
 * 110 %. The worst window, as a share of the limit. A call counts from its sending on: no figure is too high.
 */
export async function worstWindow({ redis }: BenchContext): Promise<Contenders> {
  const members = await fork(redis.url, 4);
  const names: LimiterName[] = ['sluice', 'raw', ...(Object.keys(LIMIT_PEERS) as LimitPeerName[])];
  for (const name of names) await Promise.all(members.map((member) => member.call('startLimiter', name, WINDOW)));
  const measure =
    (name: LimiterName): Measure =>
    async () => {
      const key = randomUUID();
      const hit = async (calls: number, atMs: number): Promise<Admitted[]> => {
        const each = members.map((member, i) =>
          member.call<Admitted[]>('hit', name, key, Math.floor((calls + i) / members.length), atMs),
        );
        return (await Promise.all(each)).flat();
      };
      const fromMs = nowMs() + 50;
      const first = await members[0]?.call<Admitted[]>('hit', name, key, 1, fromMs);
      const before = hit(WINDOW.limit - 1, fromMs + 0.8 * WINDOW.perMs);
      const after = hit(WINDOW.limit, fromMs + 1.1 * WINDOW.perMs);
      return worst([...(first ?? []), ...(await before), ...(await after)]) / WINDOW.limit;
    };
  return {
    sluice: measure('sluice'),
    raw: measure('raw'),
    peers: Object.fromEntries(Object.keys(LIMIT_PEERS).map((name) => [name, measure(name as LimitPeerName)])),
    close: async () => {
      await Promise.all(members.map((member) => member.kill()));
    },
  };
}

/** The most calls of which all were sent and admitted within one window. */
function worst(admitted: readonly Admitted[]): number {
  const counts = admitted.map(({ sentAt }) => {
    return admitted.filter((other) => other.sentAt >= sentAt && other.admittedAt < sentAt + WINDOW.perMs).length;
  });
  return Math.max(0, ...counts);
}

const PACE = { limit: 100, perMs: 1_000 };
const CALLERS = 30;
const PROCESSES = 3;

/**
 * 30 callers in three processes take turns, 100 a second. By how much gaps between starts differ from 10 ms, at their 99th
 * percentile; and how many of 1,000 starts came before one of a call that had asked at least 5 ms earlier. Raw: bare timers in
 * three processes.
 */
export async function pace({ redis, quick }: BenchContext): Promise<Contenders> {
  const client = new Redis(redis.url);
  const members = await fork(redis.url, PROCESSES);
  const names: PacerName[] = ['sluice', 'bottleneck', 'rate-limiter-flexible'];
  for (const name of names) await Promise.all(members.map((member) => member.call('startPacer', name, PACE)));
  const forMs = quick ? 2_000 : 5_000;
  const measure =
    (name: PacerName): Measure =>
    async () => {
      const fromMs = nowMs() + 50;
      const each = members.map((member) =>
        member.call<Started[]>('pace', name, CALLERS / PROCESSES, fromMs, fromMs + forMs),
      );
      return figuresOf((await Promise.all(each)).flat());
    };
  return {
    sluice: measure('sluice'),
    raw: async () => {
      const fromMs = nowMs() + 50;
      const times = Array.from(
        { length: (forMs / PACE.perMs) * PACE.limit },
        (_, i) => fromMs + (i * PACE.perMs) / PACE.limit,
      );
      const each = members.map((member, i) =>
        member.call<Started[]>(
          'timers',
          times.filter((_, n) => n % PROCESSES === i),
        ),
      );
      return figuresOf((await Promise.all(each)).flat());
    },
    peers: { bottleneck: measure('bottleneck'), 'rate-limiter-flexible': measure('rate-limiter-flexible') },
    close: async () => {
      client.disconnect();
      await Promise.all(members.map((member) => member.kill()));
    },
  };
}

/** How much earlier a call must have asked to have come first without doubt. */
const EARLIER_MS = 5;

function figuresOf(started: readonly Started[]): [deviationMs: number, overtakenPer1000: number] {
  const inOrder = [...started].sort((a, b) => a.startedAt - b.startedAt);
  const gaps = inOrder.slice(1).map(({ startedAt }, i) => startedAt - (inOrder[i]?.startedAt ?? Number.NaN));
  let overtaken = 0;
  let latest = -Infinity;
  for (const { askedAt } of inOrder) {
    if (askedAt < latest - EARLIER_MS) overtaken++;
    latest = Math.max(latest, askedAt);
  }
  const each = PACE.perMs / PACE.limit;
  return [
    quantile(
      gaps.map((gap) => Math.abs(gap - each)),
      0.99,
    ),
    (overtaken / started.length) * 1_000,
  ];
}
