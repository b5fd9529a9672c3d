import { CacheService, type LoaderContext, type SluiceCacheModuleOptions } from 'nestjs-sluice/cache';
import { RedisConnections, type Clock, type ConnectionOptions } from 'nestjs-sluice/redis';

export interface CacheMemberOptions extends SluiceCacheModuleOptions {
  redis: ConnectionOptions;
  namespace?: string;
  clock?: Clock;
}

/** What one process of a fleet would have: connections and an inbox of its own, and a cache on them. */
export interface CacheMember {
  readonly cache: CacheService;
  readonly connections: RedisConnections;
  close(): Promise<void>;
}

export async function cacheMember({ redis, namespace, clock, ...options }: CacheMemberOptions): Promise<CacheMember> {
  const connections = new RedisConnections({ namespace, redis, ...(clock && { clock }) });
  // A first subscription makes whoever waits ask once more: not while somebody counts commands.
  const subscribed = new Promise<void>((resolve) => {
    connections.get().inbox.onResync(resolve);
  });
  const cache = new CacheService(connections, { readTimeoutMs: 2_000, local: false, ...options });
  await connections.open();
  await subscribed;
  return {
    cache,
    connections,
    close: () => connections.onApplicationShutdown(),
  };
}

/** A loader that a test holds by the hand: every run waits to be told how it ends. */
export class HeldLoader<T = unknown> {
  readonly runs: { context: LoaderContext; succeed: (value: T) => void; fail: (error: unknown) => void }[] = [];
  readonly #started: (() => void)[] = [];

  readonly load = (context: LoaderContext): Promise<T> =>
    new Promise((succeed, fail) => {
      this.runs.push({ context, succeed, fail });
      for (const started of this.#started.splice(0)) started();
    });

  /** Resolves when the n-th run has started. */
  async run(n = 1): Promise<(typeof this.runs)[number]> {
    for (;;) {
      const run = this.runs[n - 1];
      if (run) return run;
      await new Promise<void>((resolve) => this.#started.push(resolve));
    }
  }
}
