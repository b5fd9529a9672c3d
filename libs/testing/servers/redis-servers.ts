import { startRedis, type RedisServer } from './redis-server.js';
import type { StartRedisOptions } from './redis-server.options.js';

/**
 * Starts servers that know nothing of each other, each as {@link startRedis} does. With `tls: true`, each has an authority
 * of its own; hand in one `CertificateAuthority` for all.
 *
 * @throws {SluiceError} as {@link startRedis}; the servers that did start are stopped first
 * @example
 * const servers = await startRedisServers(5);
 * await Promise.all(servers.map((server) => server.stop()));
 */
export async function startRedisServers(count: number, options: StartRedisOptions = {}): Promise<RedisServer[]> {
  return allOrNone(Array.from({ length: count }, () => startRedis(options)));
}

/** All of them, once they run. If one fails, the others are stopped. */
export async function allOrNone(starts: readonly Promise<RedisServer>[]): Promise<RedisServer[]> {
  const results = await Promise.allSettled(starts);
  const servers = results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
  const failed = results.find((result) => result.status === 'rejected');
  if (!failed) return servers;
  await stopAll(servers);
  throw failed.reason;
}

export async function stopAll(servers: readonly RedisServer[]): Promise<void> {
  await Promise.all(servers.map((server) => server.stop()));
}
