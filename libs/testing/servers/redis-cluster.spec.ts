import { afterEach, describe, expect, it } from '@jest/globals';
import { Cluster, Redis } from 'ioredis';
import { startCluster, type RedisCluster, type StartClusterOptions } from './redis-cluster.js';

let cluster: RedisCluster;
const start = async (options: StartClusterOptions = {}): Promise<void> => {
  cluster = await startCluster({ nodeTimeoutMs: 1_000, ...options });
};
afterEach(() => cluster.stop());

describe('startCluster', () => {
  it('starts three masters that share the slots, each with a replica in sync', async () => {
    await start();
    const masters = await cluster.masters();
    expect(masters).toEqual([cluster.nodes[0], cluster.nodes[2], cluster.nodes[4]]);
    expect(await Promise.all(masters.map((master) => cluster.replicasOf(master)))).toEqual(
      [1, 3, 5].map((i) => [cluster.nodes[i]]),
    );
    const client = new Cluster(cluster.addresses);
    for (let i = 0; i < 100; i++) expect(await client.set(`k${i}`, i)).toBe('OK');
    client.disconnect();
    const sizes = await Promise.all(masters.map((master) => master.ask((each) => each.dbsize())));
    expect(sizes.reduce((sum, size) => sum + size)).toBe(100);
    expect(Math.min(...sizes)).toBeGreaterThan(0);
  });

  it('answers MOVED for what another master owns', async () => {
    await start({ replicasPerMaster: 0 });
    const owner = await cluster.masterOf('stock');
    const [other] = (await cluster.masters()).filter((master) => master !== owner);
    const [right, wrong] = [new Redis(owner.url), new Redis(other!.url)];
    expect(await right.set('stock', 1)).toBe('OK');
    await expect(wrong.set('stock', 1)).rejects.toThrow(`MOVED 3902 127.0.0.1:${owner.port}`);
    right.disconnect();
    wrong.disconnect();
  });

  it('promotes the replica of a master that is killed, and takes the master back as a replica', async () => {
    await start();
    const old = await cluster.masterOf('stock');
    const [replica] = await cluster.replicasOf(old);
    await old.kill();
    expect(await cluster.promotion(old)).toBe(replica);
    expect(await cluster.masterOf('stock')).toBe(replica);
    await old.restart();
    await cluster.ready();
    expect(await cluster.replicasOf(replica!)).toEqual([old]);
  });

  it('promotes the replica of a master that hangs', async () => {
    await start();
    const old = await cluster.masterOf('stock');
    old.pause();
    const next = await cluster.promotion(old);
    expect(await cluster.masters()).not.toContain(old);
    old.resume();
    await cluster.ready();
    expect(await cluster.replicasOf(next)).toEqual([old]);
  });

  it('hands over in order, there and back', async () => {
    await start();
    const first = await cluster.masterOf('stock');
    const second = await cluster.failover(first);
    expect(second).not.toBe(first);
    expect(await cluster.failover(second)).toBe(first);
  });

  it('takes arguments, users, and TLS', async () => {
    await start({
      tls: true,
      args: ['--maxmemory', '100mb'],
      users: { app: 'on >secret ~* &* +@all', default: 'off' },
    });
    const redisOptions = { username: 'app', password: 'secret', tls: cluster.tls! };
    const client = new Cluster(cluster.addresses, { redisOptions });
    expect(await client.set('stock', 1)).toBe('OK');
    expect(await client.config('GET', 'maxmemory')).toEqual(['maxmemory', '104857600']);
    client.disconnect();
    expect(await cluster.failover(await cluster.masterOf('stock'))).toBe(await cluster.masterOf('stock'));
  });
});
