import { Redis, type RedisOptions as ClientOptions } from 'ioredis';
import { backoffMs } from '../time/backoff.js';
import type { ResolvedConnection } from '../redis.options.js';
import type { Clock } from '../time/clock.js';
import { hookConnects, loginOf } from '../access/connect-hooks.js';
import { SentinelLookup } from './sentinel-lookup.js';

/** The purpose of the socket that tracks keys. */
export const TRACKING = 'tracking';

/**
 * How long one attempt to reach an address may take, in milliseconds. Then the address is resolved anew: by now it may lead to
 * another server. With TLS the time counts until the certificates are exchanged. Behind a Sentinel group another server is
 * likely, and a lookup tries one Sentinel after the other.
 */
const CONNECT_MS = { plain: 3_000, tls: 5_000, sentinel: 2_000 };

/** How long a Sentinel may take to answer, in milliseconds. Then the next one is asked. */
const SENTINEL_ANSWER_MS = 1_000;

/**
 * The options that every socket of ours needs, whatever the user chose: nothing is resent (a repeated XADD is a second task,
 * a repeated XREADGROUP strands a batch), nothing queues up while the connection is down, replies keep one shape.
 */
const OURS = {
  autoResendUnfulfilledCommands: false,
  autoResubscribe: false,
  enableOfflineQueue: false,
  enableAutoPipelining: false,
  maxRetriesPerRequest: null,
  commandTimeout: undefined,
  blockingTimeout: undefined,
  replyMapping: 'legacy' as const,
  stringNumbers: false,
  monitor: false,
  // How long ioredis waits for a hung server before it destroys the socket at a shutdown. Its default is 2 s.
  disconnectTimeout: 200,
  // A server that loads its data is asked this often whether it is ready. ioredis believes its estimate, up to 10 s.
  maxLoadingRetryTime: 500,
  socketTimeout: undefined,
};

/**
 * A client of ours for this purpose. A client that the user gave is duplicated, with its options.
 *
 * @param lazy it connects when it is told to, or when it gets its first command
 */
export function newClient(config: ResolvedConnection, clock: Clock, purpose: string, lazy: boolean): Redis {
  const client = hookConnects(unconnected(config, purpose), loginOf(config, clock));
  // Its errors are events of the client.
  if (!lazy) client.connect().catch(() => {});
  return client;
}

function unconnected(config: ResolvedConnection, purpose: string): Redis {
  const { client, url, clientOptions } = config;
  const ours = {
    ...OURS,
    lazyConnect: true,
    connectionName: `sluice:${purpose}`,
    ...(purpose === TRACKING && { protocol: 2 as const }),
  };
  if (client !== undefined) return client.duplicate({ retryStrategy: reconnectDelayMs, ...ours });
  const options = { retryStrategy: reconnectDelayMs, ...clientOptions, ...defaultsFor(config), ...ours };
  return url === undefined ? new Redis(options) : new Redis(url, options);
}

/** How long to wait before the n-th reconnect: full jitter from 25 ms, at most 500 ms, for ever. */
export function reconnectDelayMs(attempt: number): number {
  return Math.ceil(backoffMs(attempt, 25, 500));
}

/** Our defaults where those of ioredis would wait too long, or for ever. What the user has set stays. */
function defaultsFor({ url, clientOptions: given }: ResolvedConnection): ClientOptions {
  const { connectTimeout, sentinels, sentinelCommandTimeout, failoverDetector, Connector } = given;
  if (!sentinels) {
    const isTls = given.tls !== undefined || url?.startsWith('rediss:') === true;
    return { connectTimeout: connectTimeout ?? (isTls ? CONNECT_MS.tls : CONNECT_MS.plain) };
  }
  return {
    connectTimeout: connectTimeout ?? CONNECT_MS.sentinel,
    sentinelCommandTimeout: sentinelCommandTimeout ?? SENTINEL_ANSWER_MS,
    failoverDetector: failoverDetector ?? true,
    Connector: Connector ?? SentinelLookup,
  };
}
