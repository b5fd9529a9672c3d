import type { Redis, RedisOptions as ClientOptions } from 'ioredis';
import { SluiceError, clip, durationMs, flag } from '../weave/index.js';
import type { CredentialsFunction } from './access/credentials.js';

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
  /**
   * Called before every connect of every socket, instead of `username` and `password`: for tokens that expire, and passwords
   * that are rotated. A call that fails, or takes longer than `commandTimeoutMs` (or half of `bootTimeoutMs`), is repeated after
   * 0.1 s to 5 s. What it answers is in no log line and in no error. Not with `client`. Default: none.
   *
   * @example
   * redis: { host: 'redis.internal', tls: {}, credentials: async () => ({ username: 'app', password: await token() }) }
   */
  credentials?: CredentialsFunction;
  /** The same for the Sentinels, instead of `sentinelUsername` and `sentinelPassword`. Default: none. */
  sentinelCredentials?: CredentialsFunction;
  /** Redis Cluster: refused at boot until it is tested. */
  cluster?: unknown;
  /** Fail the boot when Redis cannot be reached. With false the app boots and connects in the background. Default true. */
  required?: boolean;
  /**
   * Refuse to boot on a server that is not fit: older than Redis 7.0, with a `maxmemory-policy` that may drop locks, or with a
   * user without rights on the channels. Default false: a warning. What no feature can do without fails the boot anyway: a
   * primary, and the commands and keys of the imported features.
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
  readonly credentials: CredentialsFunction | undefined;
  readonly sentinelCredentials: CredentialsFunction | undefined;
  readonly required: boolean;
  readonly strict: boolean;
  readonly bootTimeoutMs: number;
  readonly commandTimeoutMs: number;
}

/** Where Redis is looked for when nothing is said: what ioredis does as well. */
const DEFAULT_URL = 'redis://localhost:6379';

const OPTIONS = 'an object such as { url: "redis://localhost:6379" }';

const NO_OPTIONS = 'for redis://localhost:6379 leave the option out';

/** Options that say where Redis is, and as whom. One that is there without a value was meant to have one. */
const PLACES = ['url', 'client', 'host', 'port', 'path', 'sentinels', 'credentials', 'sentinelCredentials'] as const;

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

/** Where a connection leads, for messages: without credentials. */
export function addressOf({ client, url, clientOptions }: ResolvedConnection): string {
  if (url !== undefined) return shown(url);
  const { path, host, port, sentinels, name } = client?.options ?? clientOptions;
  if (sentinels)
    return `sentinels ${sentinels.map((s) => `${s.host ?? 'localhost'}:${s.port ?? 26379}`).join(', ')}, name ${name ?? '?'}`;
  return path ?? `${host ?? 'localhost'}:${port ?? 6379}`;
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
  const { url, client, cluster, credentials, sentinelCredentials, required, strict, ...timed } = options;
  const { bootTimeoutMs, commandTimeoutMs, ...clientOptions } = timed;
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
  checkCredentials(path, options);
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
    credentials,
    sentinelCredentials,
    required: flag(true)(required, `${path}.required`),
    strict: flag(false)(strict, `${path}.strict`),
    bootTimeoutMs: durationMs(5_000)(bootTimeoutMs, `${path}.bootTimeoutMs`),
    commandTimeoutMs: durationMs(5_000)(commandTimeoutMs, `${path}.commandTimeoutMs`),
  };
}

/** A function for credentials stands alone: what it would not be asked for must not be used in its place. */
function checkCredentials(path: string, options: ConnectionOptions): void {
  const { url, client, sentinels, credentials, sentinelCredentials } = options;
  for (const [name, value] of Object.entries({ credentials, sentinelCredentials })) {
    if (value === undefined) continue;
    const wanted = 'a function that answers { username, password }';
    if (typeof value !== 'function') throw bad(`${path}.${name}`, wanted, shownType(value));
    if (client === undefined) continue;
    const fix = 'the sockets of your client log in as the client says. Leave the client out, and give its options here';
    throw new SluiceError('SLUICE_BAD_OPTION', `${path}.${name} stands beside ${path}.client: ${fix}`);
  }
  if (sentinelCredentials !== undefined && !sentinels) {
    throw bad(`${path}.sentinels`, 'a list, for there are sentinelCredentials', shownType(sentinels));
  }
  const fixed = [
    ...(credentials === undefined ? [] : (['username', 'password'] as const)),
    ...(sentinelCredentials === undefined ? [] : (['sentinelUsername', 'sentinelPassword'] as const)),
  ].find((name) => (options[name] ?? '') !== '');
  const inUrl = credentials !== undefined && typeof url === 'string' && shown(url).includes('***@');
  if (fixed === undefined && !inUrl) return;
  const what = inUrl ? `${path}.url has a user or a password` : `${path}.${String(fixed)} is given`;
  throw new SluiceError('SLUICE_BAD_OPTION', `${what}, and a function for credentials as well: give one of them`);
}

function isCluster(client: unknown): boolean {
  return typeof client === 'object' && client !== null && (client as { isCluster?: unknown }).isCluster === true;
}
