import { setTimeout as pause } from 'node:timers/promises';
import { Redis, type RedisOptions } from 'ioredis';
import { nowMs } from './history.js';
import { until } from './until.js';

/** What ioredis needs to come back at all after a failover of a Sentinel group. */
const BEHIND_SENTINELS = { failoverDetector: true, sentinelCommandTimeout: 1_000, connectTimeout: 2_000 };

/** A client of ioredis without Sluice, which writes all the time: what the same outage costs any program. */
export class BareClient {
  readonly #client: Redis;
  #running = true;
  /** When the latest write began that was acknowledged. */
  #latestMs = -Infinity;

  constructor(options: RedisOptions) {
    const plain = {
      ...(options.sentinels && BEHIND_SENTINELS),
      replyMapping: 'legacy' as const,
      retryStrategy: () => 100,
      enableOfflineQueue: false,
      maxRetriesPerRequest: 0,
      commandTimeout: 1_000,
    };
    this.#client = new Redis({ ...options, ...plain });
    this.#client.on('error', () => {});
    // ioredis ends a client for good that is told of a switch while it asks a Sentinel.
    this.#client.on('end', () => {
      if (this.#running) void this.#client.connect().catch(() => {});
    });
    void this.#write();
  }

  /** Waits for a write that began after `sinceMs`, a time of `nowMs()`. Returns when it was acknowledged. */
  async writesSince(sinceMs: number): Promise<number> {
    await until(() => this.#latestMs >= sinceMs, { what: 'the bare client writes', everyMs: 10, deadlineMs: 120_000 });
    return nowMs();
  }

  close(): void {
    this.#running = false;
    this.#client.disconnect();
  }

  async #write(): Promise<void> {
    while (this.#running) {
      const beganMs = nowMs();
      await this.#client.set('bare', '1').then(
        () => (this.#latestMs = beganMs),
        () => undefined,
      );
      await pause(20);
    }
  }
}
