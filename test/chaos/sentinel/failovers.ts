import { setTimeout as pause } from 'node:timers/promises';
import type { RedisServer, SentinelGroup } from 'nestjs-sluice/testing';
import { BareClient } from '../../support/bare-client.js';
import { holds, inRounds, rejectsPlanted, type ChaosContext, type Verdict } from '../../support/chaos.js';
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

/** How long one fault kept everybody from working, in milliseconds. */
interface Interruption {
  readonly fault: string;
  /** Until all features worked in all processes at the new primary. */
  readonly tookMs: number;
  /** Until a client of ioredis without Sluice wrote there. */
  readonly bareMs: number;
  /** How long the slowest feature takes while nothing is wrong: on a busy machine, more than a moment. */
  readonly calmMs: number;
}

/** A read that blocks on a primary that hangs is given up by then, if the socket has not heard of the switch. */
const READ_GIVEN_UP_MS = 10_000;
const MOMENT_MS = 2_000;

const allowedMs = ({ fault, bareMs, calmMs }: Interruption): number =>
  1.5 * bareMs + 3 * calmMs + (fault === 'freeze' ? READ_GIVEN_UP_MS : MOMENT_MS);

const tooLong = (all: readonly Interruption[]): Interruption[] => all.filter((each) => each.tookMs > allowedMs(each));

/** Whether the fleet worked again about as soon as a client that does nothing but connect. */
function judged(all: readonly Interruption[]): Verdict[] {
  const wrong = tooLong(all).map(
    (each) => `${each.fault}: ${Math.round(each.tookMs)} of ${Math.round(allowedMs(each))} ms`,
  );
  const [first] = all;
  const longest = (of: (each: Interruption) => number): number => Math.round(Math.max(...all.map(of)));
  return [
    holds(
      'all processes work again within 1.5 times what a bare client needs, and 2 s (10 s after a primary that hangs)',
      wrong.length === 0,
      `at most ${longest(({ tookMs }) => tookMs)} ms after a fault, a bare client ${longest(({ bareMs }) => bareMs)} ms` +
        (wrong.length > 0 ? `; ${wrong.join(', ')}` : ''),
    ),
    rejectsPlanted('a fleet that is late', tooLong(first ? [{ ...first, tookMs: allowedMs(first) + 1 }] : [])),
  ];
}

export interface Failovers {
  history: FleetHistory;
  /** Of each failover: what was acknowledged then may be lost. Outside of these, nothing may. */
  windows: LossWindow[];
  /** The same on the wall clock, for fencing tokens. */
  losses: DataLoss[];
  /** How many of which fault. */
  summary: string;
  /** On how long the faults took. */
  verdicts: Verdict[];
}

/** Three processes use these features all the time, while one primary after the other fails. */
export async function failovers(ctx: ChaosContext, features: readonly Feature[]): Promise<Failovers> {
  const group = await ctx.startSentinels({ args: SAFE });
  const fleet = await FleetLoad.start(group.redis, { features });
  const bare = new BareClient(group.redis);
  const calm = async (): Promise<number> => {
    const sinceMs = nowMs();
    return Math.max(...Object.values(await fleet.worksSince(sinceMs))) - sinceMs;
  };
  const counts: Record<string, number> = {};
  const kinds = Object.keys(FAULTS).length;
  const faults = inRounds(Object.entries(FAULTS), ctx.random);
  const [windows, losses, interruptions]: [LossWindow[], DataLoss[], Interruption[]] = [[], [], []];
  try {
    // One of each kind, however little time there is.
    for (let done = 0; done < kinds || ctx.more(done, FAILOVERS); done++) {
      await pause(ctx.random() * 1_000);
      const [name, fault] = faults.next().value;
      counts[name] = (counts[name] ?? 0) + 1;
      const old = await group.primary();
      const beforeMs = await calm();
      await bare.writesSince(nowMs());
      const fromMs = nowMs();
      let end: (() => Promise<unknown>) | undefined;
      let over = { tookMs: 0, bareMs: 0 };
      await losing(losses, async () => {
        end = await fault(group, old, ctx);
        await group.promotion(old);
        const promotedMs = nowMs();
        const [bareAtMs, works] = await Promise.all([bare.writesSince(promotedMs), fleet.worksSince(promotedMs)]);
        const movedMs = Math.max(...Object.values(works));
        windows.push([fromMs - LAG_MS, movedMs]);
        over = { tookMs: movedMs - fromMs, bareMs: bareAtMs - fromMs };
      });
      // The machine may have become busier meanwhile.
      interruptions.push({ fault: name, ...over, calmMs: Math.max(beforeMs, await calm()) });
      await end?.();
      await group.ready();
      await fleet.worksSince(nowMs());
    }
    for (const loss of losses) loss.fromUs -= LAG_MS * 1_000;
    const history = await fleet.stop();
    return { history, windows, losses, summary: JSON.stringify(counts), verdicts: judged(interruptions) };
  } finally {
    bare.close();
    await fleet.kill();
  }
}
