import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import type { Redis } from 'ioredis';
import { CertificateAuthority } from './certificate-authority.js';
import { answerOf, answersOf, awaitState } from './await-state.js';
import { drawPort, startMember, withFreePorts, type RedisServer } from './redis-server.js';
import type { ServerOptions } from './redis-server.options.js';
import { allOrNone, stopAll } from './redis-servers.js';

export interface StartSentinelsOptions extends ServerOptions {
  /** How many replicas the primary has. Default: 2. */
  replicas?: number;
  /** How many Sentinels watch. A majority of them decides. Default: 3. */
  sentinels?: number;
  /** Milliseconds without an answer after which a Sentinel takes a server for down. Default: 2000. */
  downAfterMs?: number;
}

const NAME = 'main';
/** The user of clients that have no other. */
const CLIENT = 'client';
/** Users of the servers among themselves, so that {@link SentinelGroup.isolate} can shut them out and leave clients alone. */
const REPLICA = 'sluice-replica';
const SENTINEL = 'sluice-sentinel';
/** Milliseconds that a stuck failover may take before the Sentinels try again. */
const FAILOVER_MS = 10_000;
/**
 * Starts a primary, its replicas and Sentinels that watch them, on free loopback ports. All of them end with this process,
 * also when it is killed with SIGKILL. It resolves when the replicas are in sync and the Sentinels know all servers.
 *
 * @throws {SluiceError} `SLUICE_NO_REDIS_SERVER` as `startRedis`; `SLUICE_TOPOLOGY_TIMEOUT` if the group is not ready within 60 s
 * @example
 * const group = await startSentinels();
 * SluiceModule.forRoot({ redis: group.redis });
 * const old = await group.primary();
 * await old.kill();
 * await group.promotion(old);
 * await group.stop();
 */
export async function startSentinels(options: StartSentinelsOptions = {}): Promise<SentinelGroup> {
  const { replicas = 2, sentinels = 3, downAfterMs = 2_000, tls, args = [], users = {} } = options;
  const authority = tls === true ? new CertificateAuthority() : tls || undefined;
  const password = randomBytes(16).toString('hex');
  const rule = `on >${password} ~* &* +@all`;
  // The default user is off: a Sentinel that may not log in would go on as the default user.
  const everyone = { [CLIENT]: rule, [REPLICA]: rule, [SENTINEL]: rule, default: 'off' };
  const member = {
    tls: authority ?? false,
    users: { ...users, ...everyone },
    login: { username: CLIENT, password },
    args: ['--masteruser', REPLICA, '--masterauth', password, '--repl-diskless-sync-delay', '0', ...args],
  };
  const started: RedisServer[] = [];
  try {
    const primary = await withFreePorts(() => startMember(drawPort(), member));
    started.push(primary);
    const following = { ...member, args: ['--replicaof', '127.0.0.1', String(primary.port), ...member.args] };
    const followers = Array.from({ length: replicas }, () => withFreePorts(() => startMember(drawPort(), following)));
    started.push(...(await allOrNone(followers)));
    await Promise.all(started.slice(1).map(untilInSync));
    const [, ...others] = started;
    const watchers = await withFreePorts(() =>
      startWatchers(sentinels, { primary, replicas: others, downAfterMs, password, authority }),
    );
    started.push(...watchers);
    const group = new SentinelGroup([primary, ...others], watchers, password);
    await group.ready();
    return group;
  } catch (error) {
    await stopAll(started);
    throw error;
  }
}

interface Watched {
  primary: RedisServer;
  replicas: readonly RedisServer[];
  downAfterMs: number;
  password: string;
  authority: CertificateAuthority | undefined;
}

/** Each Sentinel is told of all servers and of the others. To find them by itself, it would take seconds. */
async function startWatchers(count: number, watched: Watched): Promise<RedisServer[]> {
  const peers = Array.from({ length: count }, () => ({ port: drawPort(), id: randomBytes(20).toString('hex') }));
  const { primary, replicas, downAfterMs, password, authority } = watched;
  const quorum = Math.floor(count / 2) + 1;
  const starts = peers.map((self) => {
    const lines = [
      `sentinel myid ${self.id}`,
      `sentinel monitor ${NAME} 127.0.0.1 ${primary.port} ${quorum}`,
      `sentinel down-after-milliseconds ${NAME} ${downAfterMs}`,
      `sentinel failover-timeout ${NAME} ${FAILOVER_MS}`,
      `sentinel auth-user ${NAME} ${SENTINEL}`,
      `sentinel auth-pass ${NAME} ${password}`,
      ...replicas.map(({ port }) => `sentinel known-replica ${NAME} 127.0.0.1 ${port}`),
      ...peers.flatMap((other) =>
        other === self ? [] : [`sentinel known-sentinel ${NAME} 127.0.0.1 ${other.port} ${other.id}`],
      ),
    ];
    return startMember(self.port, {
      tls: authority ?? false,
      files: { 'sentinel.conf': `${lines.join('\n')}\n` },
      config: (dir) => [join(dir, 'sentinel.conf'), '--sentinel'],
    });
  });
  return allOrNone(starts);
}

export interface SentinelClientOptions {
  sentinels: { host: string; port: number }[];
  /** The name under which the Sentinels watch the primary. */
  name: string;
  username: string;
  password: string;
  tls?: { readonly ca: string };
  sentinelTLS?: { readonly ca: string };
  enableTLSForSentinelMode?: boolean;
}

/** A primary with replicas, and the Sentinels that watch them. Made by {@link startSentinels}. */
export class SentinelGroup {
  /** The data servers, whatever their role is now. The first was the primary at the start. */
  readonly servers: readonly RedisServer[];
  /** The Sentinels. They can be killed, paused and restarted like any server. */
  readonly sentinels: readonly RedisServer[];
  readonly #password: string;

  constructor(servers: readonly RedisServer[], sentinels: readonly RedisServer[], password: string) {
    this.servers = servers;
    this.sentinels = sentinels;
    this.#password = password;
  }

  /**
   * What a client needs to find the primary: `redis` of Sluice, or the options of ioredis. It has a user with all rights; put
   * `username` and `password` after it for another one.
   */
  get redis(): SentinelClientOptions {
    const sentinels = this.sentinels.map(({ port }) => ({ host: '127.0.0.1', port }));
    const tls = this.servers[0]?.tls;
    const secure = tls && { tls, sentinelTLS: tls, enableTLSForSentinelMode: true };
    return { sentinels, name: NAME, username: CLIENT, password: this.#password, ...secure };
  }

  /** Resolves when the replicas are in sync and the Sentinels know of all servers. Useful after a test has healed its fault. */
  async ready(): Promise<void> {
    const primary = await this.primary();
    await Promise.all(this.servers.filter((server) => server !== primary).map(untilInSync));
    await Promise.all(this.sentinels.map((sentinel) => this.#untilWatching(sentinel)));
  }

  /** The server that most Sentinels name as the primary. Sentinels that are frozen or gone are not counted. */
  async primary(): Promise<RedisServer> {
    return awaitState('a Sentinel names the primary', async () => (await this.#named())[0]);
  }

  /** The servers that are not the primary. */
  async replicas(): Promise<RedisServer[]> {
    const primary = await this.primary();
    return this.servers.filter((server) => server !== primary);
  }

  /**
   * Resolves to the server that has taken over from `old`, once all Sentinels that answer name it and it is writable.
   *
   * @throws {SluiceError} `SLUICE_TOPOLOGY_TIMEOUT` after 60 s
   */
  async promotion(old: RedisServer): Promise<RedisServer> {
    return awaitState('another server is the primary', async () => {
      const [first, ...others] = await this.#named();
      if (!first || first === old || others.some((other) => other !== first)) return undefined;
      return (await answerOf(first, replication)).includes('role:master') ? first : undefined;
    });
  }

  /** Has a Sentinel hand over to a replica, as at a planned maintenance. Resolves to the new primary, as {@link promotion}. */
  async failover(): Promise<RedisServer> {
    const old = await this.primary();
    await awaitState('a Sentinel begins the failover', async () => {
      const begun = this.sentinels.map((sentinel) =>
        answerOf(sentinel, (client) => client.call('SENTINEL', 'FAILOVER', NAME)),
      );
      return Promise.any(begun);
    });
    return this.promotion(old);
  }

  /**
   * Cuts `server` off from Sentinels and other servers: they cannot log in. Clients still reach it. An isolated primary goes on
   * taking writes, while the Sentinels promote a replica.
   */
  async isolate(server: RedisServer): Promise<void> {
    await server.ask(async (client) => {
      await client.config('SET', 'masterauth', 'nobody');
      for (const user of [REPLICA, SENTINEL]) {
        await client.call('ACL', 'SETUSER', user, 'off');
        await client.call('CLIENT', 'KILL', 'USER', user);
      }
      await client.call('CLIENT', 'KILL', 'TYPE', 'master');
    });
  }

  /** Ends {@link isolate}. A former primary becomes a replica as soon as a Sentinel sees it. */
  async rejoin(server: RedisServer): Promise<void> {
    await server.ask(async (client) => {
      await client.config('SET', 'masterauth', this.#password);
      for (const user of [REPLICA, SENTINEL]) await client.call('ACL', 'SETUSER', user, 'on');
    });
  }

  /** Stops all for good. A second call does nothing. */
  async stop(): Promise<void> {
    // The Sentinels first: they need not promote what is about to end.
    await stopAll(this.sentinels);
    await stopAll(this.servers);
  }

  /** What the Sentinels say, the server that most of them name first. */
  async #named(): Promise<(RedisServer | undefined)[]> {
    const ports = await answersOf(this.sentinels, async (client) => {
      const [, port] = (await client.call('SENTINEL', 'GET-MASTER-ADDR-BY-NAME', NAME)) as [string, string];
      return Number(port);
    });
    const votes = (port: number): number => ports.filter((other) => other === port).length;
    return ports.sort((a, b) => votes(b) - votes(a)).map((port) => this.servers.find((server) => server.port === port));
  }

  async #untilWatching(sentinel: RedisServer): Promise<void> {
    await awaitState('each Sentinel knows all servers', () =>
      answerOf(sentinel, async (client) => {
        const quorum = (await client.call('SENTINEL', 'CKQUORUM', NAME)) as string;
        if (!quorum.startsWith(`OK ${this.sentinels.length} usable`)) return undefined;
        const rows = (await client.call('SENTINEL', 'REPLICAS', NAME)) as string[][];
        const fit = rows.filter((row) => row[row.indexOf('flags') + 1] === 'slave');
        return fit.length === this.servers.length - 1 || undefined;
      }),
    );
  }
}

const replication = (client: Redis): Promise<string> => client.info('replication');

async function untilInSync(replica: RedisServer): Promise<void> {
  await awaitState('each replica is in sync', async () => {
    return (await answerOf(replica, replication)).includes('master_link_status:up') || undefined;
  });
}
