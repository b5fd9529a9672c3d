import type { Stats } from '../stats/stats.controller.js';
import type { Stage } from '../scenario/step.js';
import { queueOf } from './queue-keys.js';
import { get } from './requests.js';

/** What the page shows. */
export interface Snapshot {
  instances: { name: string; url: string; pid: number; up: boolean }[];
  /** Reads of cached values, in all processes since they were first seen. */
  reads: number;
  /** Queries that Postgres was spared. */
  saved: number;
  orders: { queued: number; completed: number; dead: number };
  dailyJob: { days: number; lastBy: string; holder: string };
  stock: { left: number; sold: number };
}

/** Looks at the fleet from outside: its processes by HTTP, its books in Postgres and Redis. */
export class Watch {
  readonly #stage: Stage;
  /** The last figures of each process that ever was: those of a killed one still count. */
  readonly #seen = new Map<number, { reads: number; loads: number }>();

  constructor(stage: Stage) {
    this.#stage = stage;
  }

  async look(): Promise<Snapshot> {
    const { fleet, postgres, redis, namespace } = this.#stage;
    const instances = await Promise.all(
      fleet.apps.map(async ({ name, url, pid }) => {
        const { status, body } = await get(`${url}/stats`);
        if (status === 200) this.#count(pid, body as Stats);
        return { name, url, pid, up: status === 200 };
      }),
    );
    const { rows } = await postgres.client.query<{
      completed: number;
      sold: number;
      left: number;
      days: number;
      lastBy: string;
    }>(BOOKS);
    const { completed = 0, sold = 0, left = 0, days = 0, lastBy = '' } = rows[0] ?? {};
    const queue = queueOf(redis.client, namespace);
    const [queued, dead, holder] = await Promise.all([
      queue.left(),
      queue.dead(),
      redis.client.get(`${namespace}:lock:daily_job`),
    ]);
    const figures = [...this.#seen.values()];
    const reads = figures.reduce((sum, each) => sum + each.reads, 0);
    return {
      instances,
      reads,
      saved: reads - figures.reduce((sum, each) => sum + each.loads, 0),
      orders: { queued, completed, dead },
      dailyJob: { days, lastBy, holder: holder ?? '' },
      stock: { left, sold },
    };
  }

  #count(pid: number, { cache }: Stats): void {
    const { hits, misses, coalesced, loads } = cache.total;
    this.#seen.set(pid, { reads: hits.local + hits.redis + hits.stale + misses + coalesced, loads });
  }
}

const BOOKS = `
select count(*)::int as completed, coalesce(sum(quantity), 0)::int as sold,
       (select sum(stock)::int from products) as left,
       (select count(*)::int from settlements) as days,
       coalesce((select settled_by from settlements order by day desc limit 1), '') as "lastBy"
  from orders`;
