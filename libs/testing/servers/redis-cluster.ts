import { randomBytes } from 'node:crypto';
import type { Redis } from 'ioredis';
import { answerOf, answersOf, awaitState } from './await-state.js';
import { CertificateAuthority } from './certificate-authority.js';
import { drawPort, startMember, withFreePorts, type RedisServer } from './redis-server.js';
import type { ServerOptions } from './redis-server.options.js';
import { allOrNone, stopAll } from './redis-servers.js';

export interface StartClusterOptions extends ServerOptions {
  /** How many masters share the slots, in equal parts. A failover needs three. Default: 3. */
  masters?: number;
  /** How many replicas each master has. Default: 1. */
  replicasPerMaster?: number;
  /** Milliseconds without an answer after which a node is taken for down. Default: 2000. */
  nodeTimeoutMs?: number;
}

const SLOTS = 16_384;
/** A node gives up a handover after five seconds (`CLUSTER_MF_TIMEOUT`), without a word. */
const FAILOVER_MS = 6_000;

interface Plan {
  readonly id: string;
  readonly port: number;
  readonly busPort: number;
  /** The id of its master, for a replica. */
  readonly of?: string;
  readonly slots?: string;
}

/**
 * Starts a Redis Cluster on free loopback ports: masters that share all slots, and their replicas. All of them end with this
 * process, also when it is killed with SIGKILL. It resolves when all nodes serve and agree, after two to four seconds.
 *
 * @throws {SluiceError} `SLUICE_NO_REDIS_SERVER` as `startRedis`; `SLUICE_TOPOLOGY_TIMEOUT` if it is not ready within 60 s
 * @example
 * const cluster = await startCluster();
 * const client = new Cluster(cluster.addresses);
 * const master = await cluster.masterOf('stock:1');
 * await master.kill();
 * await cluster.promotion(master);
 * await cluster.stop();
 */
export async function startCluster(options: StartClusterOptions = {}): Promise<RedisCluster> {
  const { masters = 3, replicasPerMaster = 1, nodeTimeoutMs = 2_000, tls, args = [], users } = options;
  const authority = tls === true ? new CertificateAuthority() : tls || undefined;
  const password = randomBytes(16).toString('hex');
  const { nodes, plans } = await withFreePorts(async () => {
    const plans = plan(masters, replicasPerMaster);
    const starts = plans.map((self) =>
      startMember(self.port, {
        tls: authority ?? false,
        users: { ...users, [REPLICA]: `on >${password} ~* &* +@all` },
        files: { 'nodes.conf': describe(plans, self) },
        args: [
          ...[
            '--cluster-enabled',
            'yes',
            '--cluster-config-file',
            'nodes.conf',
            '--cluster-port',
            String(self.busPort),
          ],
          ...['--cluster-node-timeout', String(nodeTimeoutMs), '--repl-diskless-sync-delay', '0'],
          // A replica stays with its shard.
          ...['--cluster-allow-replica-migration', 'no'],
          ...['--masteruser', REPLICA, '--masterauth', password],
          ...(authority ? ['--tls-cluster', 'yes'] : []),
          ...args,
        ],
      }),
    );
    return { plans, nodes: await allOrNone(starts) };
  });
  const cluster = new RedisCluster(nodes, firstSlots(plans));
  try {
    await cluster.ready();
  } catch (error) {
    await cluster.stop();
    throw error;
  }
  return cluster;
}

/** The user of the nodes among themselves: the default user may be off. */
const REPLICA = 'sluice-replica';

function plan(masters: number, replicasPerMaster: number): Plan[] {
  const node = (): Plan => ({ id: randomBytes(20).toString('hex'), port: drawPort(), busPort: drawPort() });
  const first = (i: number): number => Math.floor((i * SLOTS) / masters);
  return Array.from({ length: masters }, (_, i) => ({ ...node(), slots: `${first(i)}-${first(i + 1) - 1}` })).flatMap(
    (master) => [master, ...Array.from({ length: replicasPerMaster }, () => ({ ...node(), of: master.id }))],
  );
}

/** For each node, the first slot of its shard. */
function firstSlots(plans: readonly Plan[]): number[] {
  return plans.map(({ id, of = id }) => Number.parseInt(plans.find((other) => other.id === of)?.slots ?? '', 10));
}

/** What a node knows of the cluster from the start: to meet and to agree, the nodes would take many seconds. */
function describe(plans: readonly Plan[], self: Plan): string {
  const lines = plans.map(({ id, port, busPort, of, slots }, i) => {
    const flags = [...(id === self.id ? ['myself'] : []), of === undefined ? 'master' : 'slave'].join(',');
    return `${id} 127.0.0.1:${port}@${busPort} ${flags} ${of ?? '-'} 0 0 ${i + 1} connected ${slots ?? ''}`.trimEnd();
  });
  return `${[...lines, `vars currentEpoch ${plans.length} lastVoteEpoch 0`].join('\n')}\n`;
}

/** A Redis Cluster. Made by {@link startCluster}. */
export class RedisCluster {
  /** All nodes, whatever their role is now: each master of the start, followed by its replicas. */
  readonly nodes: readonly RedisServer[];
  readonly #slots: readonly number[];

  constructor(nodes: readonly RedisServer[], slots: readonly number[]) {
    this.nodes = nodes;
    this.#slots = slots;
  }

  /** Where the nodes listen. */
  get addresses(): { host: string; port: number }[] {
    return this.nodes.map(({ port }) => ({ host: '127.0.0.1', port }));
  }

  /** With TLS: what a client needs to trust the nodes. */
  get tls(): { readonly ca: string } | undefined {
    return this.nodes[0]?.tls;
  }

  /** Resolves when all nodes run, serve and know each other, and the replicas are in sync. Useful after a test has healed its fault. */
  async ready(): Promise<void> {
    await Promise.all(this.nodes.map((node) => this.#untilServing(node)));
    // A replica knows that it is in sync a moment before its master does.
    await awaitState('the masters know their replicas', async () => {
      const masters = await this.masters();
      const online = await Promise.all(masters.map((master) => this.replicasOf(master)));
      const shards = new Set(this.#slots).size;
      return (masters.length === shards && online.flat().length === this.nodes.length - shards) || undefined;
    });
  }

  /** The nodes that are masters now. Nodes that are frozen or gone are none. */
  async masters(): Promise<RedisServer[]> {
    const roles = await Promise.allSettled(this.nodes.map((node) => answerOf(node, replication)));
    return this.nodes.filter((_, i) => {
      const role = roles[i];
      return role?.status === 'fulfilled' && role.value.includes('role:master');
    });
  }

  /** The node that owns the slot of `key`, as the nodes that answer say. */
  async masterOf(key: string): Promise<RedisServer> {
    return awaitState(`a node owns the slot of ${key}`, async () => {
      const [slot] = await answersOf(this.nodes, (client) => client.cluster('KEYSLOT', key));
      return slot === undefined ? undefined : this.#owner(slot, this.nodes);
    });
  }

  /** The replicas of this master that are in sync with it. */
  async replicasOf(master: RedisServer): Promise<RedisServer[]> {
    const ports = (await answerOf(master, replication)).matchAll(/^slave\d+:ip=[^,]*,port=(\d+),state=online/gm);
    const online = [...ports].map(([, port]) => Number(port));
    return this.nodes.filter(({ port }) => online.includes(port));
  }

  /**
   * Resolves to the node that has taken over the slots of `old`, once all nodes that answer say so.
   *
   * @throws {SluiceError} `SLUICE_TOPOLOGY_TIMEOUT` after 60 s
   */
  async promotion(old: RedisServer): Promise<RedisServer> {
    return awaitState('a replica has taken over', () => this.#successor(old));
  }

  /** Has a replica of `master` take over in order, without loss. Resolves to the replica, as {@link promotion}. */
  async failover(master: RedisServer): Promise<RedisServer> {
    let asked = -Infinity;
    return awaitState('a replica has taken over', async () => {
      const successor = await this.#successor(master);
      if (successor) return successor;
      const [replica] = performance.now() - asked > FAILOVER_MS ? await this.replicasOf(master) : [];
      if (!replica) return undefined;
      await answerOf(replica, (client) => client.cluster('FAILOVER'));
      asked = performance.now();
      return undefined;
    });
  }

  /** Stops all for good. A second call does nothing. */
  async stop(): Promise<void> {
    await stopAll(this.nodes);
  }

  async #successor(old: RedisServer): Promise<RedisServer | undefined> {
    const others = this.nodes.filter((node) => node !== old);
    const owner = await this.#owner(this.#slots[this.nodes.indexOf(old)] ?? 0, others);
    return owner === old ? undefined : owner;
  }

  /** The owner of this slot, if all of these nodes that answer name the same. */
  async #owner(slot: number, nodes: readonly RedisServer[]): Promise<RedisServer | undefined> {
    const ports = await answersOf(nodes, async (client) => {
      const ranges = (await client.cluster('SLOTS')) as unknown as [number, number, [string, number]][];
      return ranges.find(([from, to]) => from <= slot && slot <= to)?.[2][1];
    });
    return new Set(ports).size === 1 ? this.nodes.find(({ port }) => port === ports[0]) : undefined;
  }

  async #untilServing(node: RedisServer): Promise<void> {
    await awaitState('each node serves, knows all others and is in sync', () =>
      answerOf(node, async (client) => {
        const info = await client.cluster('INFO');
        const known = ((await client.cluster('NODES')) as string).trim().split('\n');
        const fit = known.filter((line) => !/ (\S*fail\S*|\S*handshake) | disconnected/.test(line));
        const inSync = !(await replication(client)).includes('master_link_status:down');
        return (info.includes('cluster_state:ok') && fit.length === this.nodes.length && inSync) || undefined;
      }),
    );
  }
}

const replication = (client: Redis): Promise<string> => client.info('replication');
