import type { RedisOptions } from 'nestjs-sluice';
import type { FleetMemberSettings } from '../apps/fleet-member.js';
import { FleetHistory, WORK, type Feature, type FleetRecords, type Work } from './fleet-records.js';
import { forkApp, type ForkedApp } from './fork-app.js';
import { nowMs } from './history.js';
import { until } from './until.js';

export interface FleetOptions {
  /** How many processes. Default: 3. */
  count?: number;
  /** Default: all. */
  features?: readonly Feature[];
}

/** Processes that use locks, the cache and queues all the time, so that a fault meets them in the middle of everything. */
export class FleetLoad {
  readonly apps: readonly ForkedApp[];
  readonly #features: readonly Feature[];

  private constructor(apps: readonly ForkedApp[], features: readonly Feature[]) {
    this.apps = apps;
    this.#features = features;
  }

  /** Resolves when each app has succeeded in each of its features. */
  static async start(redis: RedisOptions, options: FleetOptions = {}): Promise<FleetLoad> {
    const { count = 3, features = Object.keys(WORK) as Feature[] } = options;
    const settings = Array.from({ length: count }, (_, i): FleetMemberSettings => ({ redis, by: `p${i}`, features }));
    const apps = await Promise.all(
      settings.map((each) => forkApp('fleet-member', { env: { MEMBER: JSON.stringify(each) } })),
    );
    const fleet = new FleetLoad(apps, features);
    await fleet.worksSince(nowMs());
    return fleet;
  }

  /**
   * Waits until every app has succeeded in all its work with something that it began after `sinceMs`, a time of `nowMs()`. Returns
   * when, by kind of work.
   */
  async worksSince(sinceMs: number): Promise<Partial<Record<Work, number>>> {
    const kinds: readonly Work[] = this.#features.flatMap((feature) => WORK[feature]);
    const doneMs: Partial<Record<Work, number>> = {};
    await until(
      async () => {
        const latest = await Promise.all(this.apps.map((app) => app.call<Partial<Record<Work, number>>>('latest')));
        for (const kind of kinds) {
          if (latest.every((of) => (of[kind] ?? -Infinity) >= sinceMs)) doneMs[kind] ??= nowMs();
        }
        return kinds.every((kind) => doneMs[kind] !== undefined);
      },
      { what: 'all features work in all apps', everyMs: 10, deadlineMs: 120_000 },
    );
    return doneMs;
  }

  /**
   * Stops the load, lets the queue run dry, and closes the apps. It rejects if a call of an app never settles, or if an app does
   * not exit by itself.
   */
  async stop(): Promise<FleetHistory> {
    await Promise.all(this.apps.map((app) => app.call('halt')));
    const working = (): Promise<number[]> => Promise.all(this.apps.map((app) => app.call<number>('working')));
    await until(async () => (await working()).every((loops) => loops === 0), { what: 'every call has settled' });
    await until(async () => (await this.apps[0]!.call<number>('left')) === 0, { what: 'all tasks have run' });
    const records = await Promise.all(this.apps.map((app) => app.call<FleetRecords>('records')));
    await Promise.all(this.apps.map((app) => app.stop()));
    return new FleetHistory(records);
  }

  /** Ends the apps of a test that has failed. */
  async kill(): Promise<void> {
    await Promise.all(this.apps.map((app) => app.kill()));
  }
}
