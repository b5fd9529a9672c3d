import { afterEach, describe, expect, it } from '@jest/globals';
import { Redis } from 'ioredis';
import { until } from '../../../test/support/until.js';
import { startSentinels, type SentinelGroup, type StartSentinelsOptions } from './sentinel-group.js';
import type { RedisServer } from './redis-server.js';

let group: SentinelGroup;
const start = async (options: StartSentinelsOptions = {}): Promise<void> => {
  group = await startSentinels({ downAfterMs: 1_000, ...options });
};
afterEach(() => group.stop());

const quorumOf = async (sentinel: RedisServer): Promise<boolean> => {
  const said = await sentinel.ask((client) => client.call('SENTINEL', 'CKQUORUM', 'main').catch(String));
  return String(said).startsWith('OK 3 usable');
};
const infoOf = (server: RedisServer): Promise<string> => server.ask((client) => client.info('replication'));

describe('startSentinels', () => {
  it('starts a primary with two replicas in sync, and three Sentinels that know all of them', async () => {
    await start();
    expect(group.servers).toHaveLength(3);
    expect(group.redis.sentinels).toEqual(group.sentinels.map(({ port }) => ({ host: '127.0.0.1', port })));
    expect(await group.primary()).toBe(group.servers[0]);
    expect(await infoOf(await group.primary())).toContain('connected_slaves:2');
    for (const sentinel of group.sentinels) {
      await until(() => quorumOf(sentinel), { what: 'all three Sentinels are usable' });
    }
    const client = new Redis(group.redis);
    expect(await client.set('a', 'b')).toBe('OK');
    expect(await client.wait(2, 10_000)).toBe(2);
    client.disconnect();
  });

  it('promotes a replica of a primary that is killed, and takes it back as a replica', async () => {
    await start();
    const old = await group.primary();
    await old.kill();
    const next = await group.promotion(old);
    expect(next).not.toBe(old);
    expect(await infoOf(next)).toContain('role:master');
    await old.restart();
    await group.ready();
    expect(await group.replicas()).toContain(old);
    expect(await infoOf(old)).toContain(`master_port:${next.port}`);
  });

  it('promotes a replica of a primary that hangs, also while a Sentinel hangs', async () => {
    await start();
    const old = await group.primary();
    old.pause();
    group.sentinels[0]?.pause();
    const next = await group.promotion(old);
    expect(next).not.toBe(old);
    old.resume();
    group.sentinels[0]?.resume();
    await group.ready();
    expect(await infoOf(old)).toContain('role:slave');
  });

  it('watches with two Sentinels while one is killed, and with three once it is restarted', async () => {
    await start();
    const [sentinel] = group.sentinels as [RedisServer];
    await sentinel.kill();
    const old = await group.primary();
    const next = await group.failover();
    expect(next).not.toBe(old);
    await sentinel.restart();
    await group.ready();
    await until(() => quorumOf(sentinel), { what: 'all three Sentinels are usable' });
  });

  it('hands over on demand, again and again', async () => {
    await start();
    const first = await group.primary();
    const second = await group.failover();
    expect(second).not.toBe(first);
    const third = await group.failover();
    expect(third).not.toBe(second);
    expect(await group.primary()).toBe(third);
  });

  it('isolates a primary from the others, while clients still reach it', async () => {
    await start();
    const old = await group.primary();
    const client = new Redis(old.url);
    await group.isolate(old);
    expect(await group.promotion(old)).not.toBe(old);
    expect(await client.set('a', 'b')).toBe('OK');
    expect(await infoOf(old)).toMatch(/role:master[^]*connected_slaves:0/);
    await group.rejoin(old);
    // A Sentinel that makes a server a replica cuts all its clients off.
    const role = (): Promise<string> => infoOf(old).catch(() => '');
    await until(async () => (await role()).includes('role:slave'), { what: 'it is a replica' });
    client.disconnect();
  });

  it('isolates a replica', async () => {
    await start();
    const [replica] = (await group.replicas()) as [RedisServer];
    await group.isolate(replica);
    await until(async () => (await infoOf(replica)).includes('master_link_status:down'), { what: 'it has no primary' });
    await group.rejoin(replica);
    await group.ready();
    expect(await infoOf(replica)).toContain('master_link_status:up');
  });

  it('takes arguments, users, and TLS for servers and Sentinels', async () => {
    await start({
      tls: true,
      replicas: 1,
      args: ['--min-replicas-to-write', '1'],
      users: { app: 'on >secret ~* &* +@all' },
    });
    const client = new Redis({ ...group.redis, username: 'app', password: 'secret' });
    expect(await client.acl('WHOAMI')).toBe('app');
    expect(await client.set('a', 'b')).toBe('OK');
    expect(await client.config('GET', 'min-replicas-to-write')).toEqual(['min-replicas-to-write', '1']);
    client.disconnect();
    const old = await group.primary();
    expect(await group.failover()).not.toBe(old);
  });
});
