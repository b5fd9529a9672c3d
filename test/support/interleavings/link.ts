import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';

/** The way from one process to its Redis, on which answers can be held up and messages be lost. */
export interface Link {
  readonly url: string;
  /** From now on answers wait; what is published goes on arriving. */
  hold(): void;
  /** The answers that wait. */
  readonly held: string;
  /** What waits goes on, in order, and so does whatever follows. */
  release(): void;
  /** How many bytes subscribers have got. */
  readonly heard: number;
  /** The subscribers' sockets go half-open: they look alive, and nothing arrives. New ones hear. Returns their number. */
  deafen(): number;
  close(): Promise<void>;
}

interface Way {
  client: Socket;
  subscribed: boolean;
  deaf: boolean;
}

/** A proxy of the Redis at `target` for one process. */
export async function startLink(target: string): Promise<Link> {
  const { port } = new URL(target);
  const ways = new Set<Way>();
  let holding = false;
  let held: { client: Socket; bytes: Buffer }[] = [];
  let heard = 0;
  const proxy = createServer((client) => {
    const server = connect(Number(port), '127.0.0.1');
    const way = { client, subscribed: false, deaf: false };
    ways.add(way);
    for (const socket of [client, server]) {
      socket.setNoDelay(true);
      socket.on('error', () => {});
      socket.on('close', () => {
        ways.delete(way);
        client.destroy();
        server.destroy();
      });
    }
    client.on('data', (bytes) => {
      way.subscribed ||= /\r\np?subscribe\r\n/i.test(bytes.toString('latin1'));
      server.write(bytes);
    });
    server.on('data', (bytes) => {
      if (way.deaf) return;
      if (way.subscribed) heard += bytes.length;
      if (holding && !way.subscribed) held.push({ client, bytes });
      else client.write(bytes);
    });
  });
  proxy.listen(0, '127.0.0.1');
  await once(proxy, 'listening');
  return {
    url: `redis://127.0.0.1:${(proxy.address() as AddressInfo).port}`,
    hold: () => {
      holding = true;
    },
    get held() {
      return Buffer.concat(held.map(({ bytes }) => bytes)).toString('latin1');
    },
    release: () => {
      holding = false;
      for (const { client, bytes } of held) client.write(bytes);
      held = [];
    },
    get heard() {
      return heard;
    },
    deafen: () => {
      const deaf = [...ways].filter(({ subscribed }) => subscribed);
      for (const way of deaf) way.deaf = true;
      return deaf.length;
    },
    close: async () => {
      for (const { client } of ways) client.destroy();
      proxy.close();
      await once(proxy, 'close');
    },
  };
}
