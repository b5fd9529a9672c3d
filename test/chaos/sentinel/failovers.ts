import { setTimeout as pause } from 'node:timers/promises';
import type { RedisServer, SentinelGroup } from 'nestjs-sluice/testing';
import { inRounds, type ChaosContext } from '../../support/chaos.js';
import { losing, type DataLoss } from '../../support/data-loss.js';
import { FleetLoad } from '../../support/fleet-load.js';
import type { Feature, FleetHistory, LossWindow } from '../../support/fleet-records.js';
import { nowMs } from '../../support/history.js';

/** Without a time to be ended by. */
const FAILOVERS = 8;
/** What was acknowledged so long before a fault may not have reached a replica yet. */
const LAG_MS = 1_000;
/** A primary without a replica in sync takes no writes after that: what an isolated one acknowledges would be lost. */
const SAFE = ['--min-replicas-to-write', '1', '--min-replicas-max-lag', '1'];

type Fault = (group: SentinelGroup, old: RedisServer, ctx: ChaosContext) => Promise<() => Promise<unknown>>;

/** Each begins and returns how it ends. */
const FAULTS: Record<string, Fault> = {
  kill: async (_group, old) => {
    await old.kill();
    return () => old.restart();
  },
  freeze: async (group, old, { random }) => {
    const watcher = group.sentinels[Math.floor(random() * 2 * group.sentinels.length)];
    const frozen = watcher === undefined ? [old] : [old, watcher];
    for (const server of frozen) server.pause();
    return async () => {
      for (const server of frozen) server.resume();
      return Promise.resolve();
    };
  },
  planned: async (group) => {
    await group.failover();
    return () => Promise.resolve();
  },
  isolated: async (group, old) => {
    await group.isolate(old);
    return () => group.rejoin(old);
  },
};

export interface Failovers {
  history: FleetHistory;
  /** Of each failover: what was acknowledged then may be lost. Outside of these, nothing may. */
  windows: LossWindow[];
  /** The same on the wall clock, for fencing tokens. */
  losses: DataLoss[];
  /** How many of which fault, and how long a fault took until all processes worked at the new primary. */
  summary: string;
}

/** Three processes use these features all the time, while one primary after the other fails. */
export async function failovers(ctx: ChaosContext, features: readonly Feature[]): Promise<Failovers> {
  const group = await ctx.startSentinels({ args: SAFE });
  const fleet = await FleetLoad.start(group.redis, { features });
  const counts: Record<string, number> = {};
  const kinds = Object.keys(FAULTS).length;
  const faults = inRounds(Object.entries(FAULTS), ctx.random);
  const [windows, losses, tookMs]: [LossWindow[], DataLoss[], number[]] = [[], [], []];
  try {
    // One of each kind, however little time there is.
    for (let done = 0; done < kinds || ctx.more(done, FAILOVERS); done++) {
      await pause(ctx.random() * 1_000);
      const [name, fault] = faults.next().value;
      counts[name] = (counts[name] ?? 0) + 1;
      const old = await group.primary();
      const fromMs = nowMs();
      let end: (() => Promise<unknown>) | undefined;
      await losing(losses, async () => {
        end = await fault(group, old, ctx);
        await group.promotion(old);
        const promotedMs = nowMs();
        const movedMs = Math.max(...Object.values(await fleet.worksSince(promotedMs)));
        windows.push([fromMs - LAG_MS, movedMs]);
        tookMs.push(movedMs - fromMs);
      });
      await end?.();
      await group.ready();
      await fleet.worksSince(nowMs());
    }
    for (const loss of losses) loss.fromUs -= LAG_MS * 1_000;
    const history = await fleet.stop();
    const slowest = Math.round(Math.max(...tookMs));
    const summary = `${JSON.stringify(counts)}, all worked again within ${slowest} ms of each fault`;
    return { history, windows, losses, summary };
  } finally {
    await fleet.kill();
  }
}
