import { Redis } from 'ioredis';
import { startRedis } from 'nestjs-sluice/testing';
import type { RedisChoice } from './options.js';

/** The Redis of this run. Every key of the run contains its namespace, which no other run has. */
export interface DemoRedis {
  url: string;
  /** What it is, for people. Names no password. */
  label: string;
  /** Whether its figures say anything about Redis. */
  representative: boolean;
  /** The launcher's own client, to look at the run's keys without the library in between. */
  client: Redis;
  close(): Promise<void>;
}

export async function openRedis(choice: RedisChoice, namespace: string): Promise<DemoRedis> {
  const server = await serverOf(choice);
  try {
    const client = await connect(server.url);
    const version = /redis_version:(\S+)/.exec(await client.info('server'))?.[1] ?? 'unknown';
    return {
      url: server.url,
      label: server.label(version),
      representative: choice.kind !== 'embedded',
      client,
      async close() {
        if (choice.kind === 'borrowed') await deleteKeysOf(namespace, client);
        client.disconnect();
        await server.stop();
      },
    };
  } catch (error) {
    await server.stop();
    throw error;
  }
}

interface Server {
  url: string;
  label(version: string): string;
  stop(): Promise<void>;
}

async function serverOf(choice: RedisChoice): Promise<Server> {
  switch (choice.kind) {
    case 'borrowed': {
      const { host } = new URL(choice.url);
      return { url: choice.url, label: (version) => `Redis ${version} at ${host}`, stop: async () => {} };
    }
    case 'private': {
      const server = await startRedis();
      const { url, port } = server;
      return { url, label: (version) => `a private Redis ${version} on port ${port}`, stop: () => server.stop() };
    }
    case 'embedded': {
      const { createRedisMock } = await import('js-redis-server');
      const server = await createRedisMock();
      const label = 'js-redis-server, inside the launcher (its figures are not representative)';
      return { url: server.url, label: () => label, stop: () => server.close() };
    }
  }
}

async function connect(url: string): Promise<Redis> {
  const client = new Redis(url, { lazyConnect: true, connectTimeout: 5_000, maxRetriesPerRequest: 1 });
  let reason = '';
  client.on('error', (error) => (reason = error.message));
  try {
    await client.connect();
    return client;
  } catch (error) {
    client.disconnect();
    throw new Error(`no Redis at ${new URL(url).host}: ${reason || String(error)}`, { cause: error });
  }
}

/** Never FLUSHDB: the rest of the database is somebody's. */
async function deleteKeysOf(namespace: string, client: Redis): Promise<void> {
  for await (const keys of client.scanStream({ match: `*${namespace}*`, count: 1_000 }) as AsyncIterable<string[]>) {
    // One call for each: a server in cluster mode takes no call over several slots.
    await Promise.all(keys.map((key) => client.unlink(key)));
  }
}
