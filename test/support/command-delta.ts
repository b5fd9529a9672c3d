import type { Redis } from 'ioredis';

export interface CommandDelta<T> {
  /** What `fn` returned. */
  result: T;
  /** Calls per command while `fn` ran, inner calls of scripts included: `{ set: 2, 'config|get': 1 }`. Zeroes are left out. */
  calls: Record<string, number>;
  /** Microseconds that the server spent in each command. */
  usec: Record<string, number>;
  /** The sum of `calls`. */
  total: number;
}

/**
 * What `INFO commandstats` of the whole server grew by while `fn` ran, without the two INFO of its own, and without
 * PING: open connections send it when they are silent, so it may fall into any measurement.
 * Everything else that the server does meanwhile is counted: let nothing else run.
 */
export async function commandDelta<T>(client: Redis, fn: () => T | Promise<T>): Promise<CommandDelta<T>> {
  const before = await commandStats(client);
  const result = await fn();
  const after = await commandStats(client);
  // The first INFO was counted after it had answered, the second one is not counted yet.
  const info = after.get('info');
  if (info) info.calls -= 1;
  after.delete('ping');

  const delta: CommandDelta<T> = { result, calls: {}, usec: {}, total: 0 };
  for (const [command, now] of after) {
    const was = before.get(command) ?? { calls: 0, usec: 0 };
    const calls = now.calls - was.calls;
    if (calls === 0) continue;
    delta.calls[command] = calls;
    delta.usec[command] = now.usec - was.usec;
    delta.total += calls;
  }
  return delta;
}

async function commandStats(client: Redis): Promise<Map<string, { calls: number; usec: number }>> {
  const lines = (await client.info('commandstats')).matchAll(/^cmdstat_([^:]+):calls=(\d+),usec=(\d+)/gm);
  return new Map(
    [...lines].map(([, command, calls, usec]) => [command!, { calls: Number(calls), usec: Number(usec) }]),
  );
}
