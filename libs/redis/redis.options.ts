import type { Redis, RedisOptions as ClientOptions } from 'ioredis';
import { SluiceError, clip, durationMs, flag } from '../weave/index.js';

/**
 * How to reach one Redis. Besides these, every option of ioredis (`host`, `port`, `password`, `tls`,
 * `sentinels` with `name`, …) passes through.
 */
export interface ConnectionOptions extends ClientOptions {
  /** `redis://` or `rediss://` URL. */
  url?: string;
  /**
   * A client of yours: used for commands, duplicated for the rest, never closed. Must have no `keyPrefix`. Clients of ours
   * leave a server that became a replica; this one does if its `reconnectOnError` says so (`READONLY`).
   */
  client?: Redis;
  /** Redis Cluster: refused at boot until it is tested. */
  cluster?: unknown;
  /** Fail the boot when Redis cannot be reached. With false the app boots and connects in the background. Default true. */
  required?: boolean;
  /**
   * Refuse to boot on a server that is not fit: older than Redis 7.0, or with a `maxmemory-policy` that may drop locks.
   * Default false: a warning.
   */
  strict?: boolean;
  /** Milliseconds that the boot waits for Redis. Default 5 000. */
  bootTimeoutMs?: number;
  /** Milliseconds after which a command without a reply rejects. Default 5 000. */
  commandTimeoutMs?: number;
}

/** One Redis for everything, or several by name; `default` is the one used where no name is given. */
export type RedisOptions = ConnectionOptions | { connections: Record<string, ConnectionOptions> };

export interface ResolvedConnection {
  readonly name: string;
  readonly url: string | undefined;
  readonly client: Redis | undefined;
  readonly clientOptions: ClientOptions;
  readonly required: boolean;
  readonly strict: boolean;
  readonly bootTimeoutMs: number;
  readonly commandTimeoutMs: number;
}

/** Where Redis is looked for when nothing is said: what ioredis does as well. */
const DEFAULT_URL = 'redis://localhost:6379';

const OPTIONS = 'an object such as { url: "redis://localhost:6379" }';

const NO_OPTIONS = 'for redis://localhost:6379 leave the option out';

/** Options that say where Redis is. One that is there without a value was meant to have one. */
const PLACES = ['url', 'client', 'host', 'port', 'path', 'sentinels'] as const;

/**
 * What messages say of a URL, or of what was given instead of one: scheme, host, port and database. Never anything else: a
 * text that is no URL may be a connection string of another kind, with a password in it.
 */
export function shown(url: unknown): string {
  if (typeof url !== 'string') return shownType(url);
  if (!isRedisUrl(url)) return `a text of ${url.length} characters that is none`;
  const { protocol, username, password, host, pathname } = new URL(url);
  const credentials = username === '' && password === '' ? '' : '***@';
  return `${protocol}//${credentials}${host}${/^\/\d+$/.test(pathname) ? pathname : ''}`;
}

/** The kind of a value that may hold a password somewhere. */
function shownType(value: unknown): string {
  if (typeof value === 'string') return `a text of ${value.length} characters`;
  if (value === null || typeof value !== 'object') return value === null ? 'null' : typeof value;
  const { constructor } = value as { constructor?: unknown };
  return typeof constructor === 'function' ? `an object of class ${clip(constructor.name)}` : 'an object';
}

function isRedisUrl(url: string): boolean {
  return /^rediss?:\/\/./.test(url) && URL.canParse(url);
}

function bad(path: string, wanted: string, got: string): SluiceError {
  return new SluiceError('SLUICE_BAD_OPTION', `${path} must be ${wanted}, got ${got}`);
}

/**
 * Checks the `redis` options once, at boot.
 *
 * @throws SluiceError `SLUICE_BAD_OPTION`, `SLUICE_KEY_PREFIX`, `SLUICE_CLUSTER_UNSUPPORTED`, naming the fix
 */
export function resolveRedisOptions(given: RedisOptions | undefined): ResolvedConnection[] {
  const options = given ?? {};
  if (typeof options !== 'object') throw bad('redis', OPTIONS, shown(options));
  if (!('connections' in options)) return [resolveConnection('default', 'redis', options)];
  const { connections, ...others } = options;
  const names = Object.keys(Object(connections) as object);
  if (names.length === 0) throw bad('redis.connections', 'an object of connections by name', shownType(connections));
  const stray = Object.keys(others)[0];
  if (stray !== undefined) {
    throw new SluiceError(
      'SLUICE_BAD_OPTION',
      `redis.${stray} stands beside redis.connections: move it into one of them`,
    );
  }
  return names.map((name) => resolveConnection(name, `redis.connections.${name}`, connections[name] ?? {}));
}

function resolveConnection(name: string, path: string, options: ConnectionOptions): ResolvedConnection {
  if (typeof options !== 'object') throw bad(path, OPTIONS, shown(options));
  const unset = PLACES.find((name) => name in options && options[name] === undefined);
  if (unset !== undefined) {
    throw new SluiceError(
      'SLUICE_BAD_OPTION',
      `${path}.${unset} is undefined, perhaps because an environment variable is missing; ${NO_OPTIONS}`,
    );
  }
  const { url, client, cluster, required, strict, bootTimeoutMs, commandTimeoutMs, ...clientOptions } = options;
  if (cluster !== undefined || isCluster(client)) {
    throw new SluiceError(
      'SLUICE_CLUSTER_UNSUPPORTED',
      `${path}: Redis Cluster is not supported yet; use one Redis or a Sentinel group ({ sentinels, name })`,
    );
  }
  if (client !== undefined && (typeof client !== 'object' || typeof client.sendCommand !== 'function')) {
    throw bad(`${path}.client`, 'an ioredis client (in tests: SluiceTestingModule, no client)', shownType(client));
  }
  if (client !== undefined && (url !== undefined || Object.keys(clientOptions).length > 0)) {
    throw new SluiceError('SLUICE_BAD_OPTION', `${path}: give either a client or how to make one, not both`);
  }
  if (url !== undefined && !(typeof url === 'string' && isRedisUrl(url))) {
    throw bad(`${path}.url`, 'a redis:// or rediss:// URL (percent-encode what the password has)', shown(url));
  }
  if ((client?.options.keyPrefix ?? clientOptions.keyPrefix ?? '') !== '') {
    throw new SluiceError(
      'SLUICE_KEY_PREFIX',
      `${path}: a client with keyPrefix cannot be used (scripts and channels would miss it); use SluiceModule's namespace instead`,
    );
  }
  if (client?.options.stringNumbers === true) {
    throw new SluiceError(
      'SLUICE_BAD_OPTION',
      `${path}.client has stringNumbers: replies would be strings where numbers are expected; give a client without`,
    );
  }
  if (client?.options.monitor === true) {
    throw new SluiceError(
      'SLUICE_BAD_OPTION',
      `${path}.client is in monitor mode, in which Redis runs no other command; give another client`,
    );
  }
  const located =
    'host' in clientOptions || 'port' in clientOptions || 'path' in clientOptions || 'sentinels' in clientOptions;
  return {
    name,
    url: client === undefined && url === undefined && !located ? DEFAULT_URL : url,
    client,
    clientOptions,
    required: flag(true)(required, `${path}.required`),
    strict: flag(false)(strict, `${path}.strict`),
    bootTimeoutMs: durationMs(5_000)(bootTimeoutMs, `${path}.bootTimeoutMs`),
    commandTimeoutMs: durationMs(5_000)(commandTimeoutMs, `${path}.commandTimeoutMs`),
  };
}

function isCluster(client: unknown): boolean {
  return typeof client === 'object' && client !== null && (client as { isCluster?: unknown }).isCluster === true;
}
