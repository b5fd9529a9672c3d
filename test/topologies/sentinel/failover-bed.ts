import { afterEach, expect } from '@jest/globals';
import { startSentinels, type RedisServer, type SentinelGroup } from 'nestjs-sluice/testing';
import { BareClient } from '../../support/bare-client.js';
import { FleetLoad } from '../../support/fleet-load.js';
import type { FleetHistory, LossWindow } from '../../support/fleet-records.js';
import { nowMs } from '../../support/history.js';

/**
 * How much longer than twice a bare client's time the fleet may take, whatever the machine: this only shows that all features come
 * back by themselves. How soon they do is judged by `npm run chaos -- --topology sentinel`.
 */
const PATIENCE_MS = 30_000;

export interface Fault {
  old: RedisServer;
  begin: () => unknown;
  end?: () => unknown;
}

export interface Survived {
  history: FleetHistory;
  /** From a second before the fault until the fleet has left the old primary: what was acknowledged then may be lost. */
  window: LossWindow;
}

/** A Sentinel group, and three processes that use it all the time while its primary fails. */
export class FailoverBed {
  group!: SentinelGroup;
  #fleet: FleetLoad | undefined;
  #bare: BareClient | undefined;

  /** To be made at the top of a spec file: brings its hook along. */
  constructor() {
    afterEach(async () => {
      this.#bare?.close();
      // A test that failed has left its apps running.
      await this.#fleet?.kill();
      await this.group.stop();
    });
  }

  /** Another group. Resolves to its primary. */
  async start(args: readonly string[] = []): Promise<RedisServer> {
    this.group = await startSentinels({ args });
    return this.group.primary();
  }

  /**
   * The load runs in three processes, the fault begins, the fleet works at the new primary, the fault ends, the load runs on. A
   * feature that comes back a minute after a bare client, or never, fails the test.
   */
  async survive({ old, begin, end }: Fault): Promise<Survived> {
    const fleet = (this.#fleet = await FleetLoad.start(this.group.redis));
    const bare = (this.#bare = new BareClient(this.group.redis));
    await bare.writesSince(nowMs());
    // How long the slowest feature takes in all apps while nothing is wrong: on a busy machine, more than a moment.
    const calm = async (): Promise<number> => {
      const sinceMs = nowMs();
      return Math.max(...Object.values(await fleet.worksSince(sinceMs))) - sinceMs;
    };
    const beforeMs = await calm();
    const faultAtMs = nowMs();
    await begin();
    await this.group.promotion(old);
    const promotedAtMs = nowMs();
    const [bareAtMs, works] = await Promise.all([bare.writesSince(promotedAtMs), fleet.worksSince(promotedAtMs)]);
    // The machine may have become busier meanwhile, and a failover takes more steps than a task does.
    const calmMs = Math.max(beforeMs, await calm());
    const allowedMs = 2 * (bareAtMs - faultAtMs) + 3 * calmMs + PATIENCE_MS;
    for (const [feature, atMs] of Object.entries(works)) {
      const tookMs = atMs - faultAtMs;
      expect({ feature, late: tookMs > allowedMs ? [tookMs, allowedMs] : 0 }).toEqual({ feature, late: 0 });
    }
    await end?.();
    await fleet.worksSince(nowMs());
    const history = await fleet.stop();
    return { history, window: [faultAtMs - 1_000, Math.max(...Object.values(works))] };
  }

  /** The primary of a new group hangs, and so do these Sentinels, by their numbers. */
  async surviveHanging(sentinels: readonly number[]): Promise<Survived> {
    const old = await this.start();
    const frozen = [old, ...sentinels.map((i) => this.group.sentinels[i]!)];
    return this.survive({
      old,
      begin: () => {
        for (const server of frozen) server.pause();
      },
      end: () => {
        for (const server of frozen) server.resume();
      },
    });
  }
}
