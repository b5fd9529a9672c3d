import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';

/** A TCP proxy of a Redis, whose subscribers can go half-open: they look alive, and hear nothing. */
export interface HalfOpenProxy {
  readonly url: string;
  /** From now on what Redis says to the subscribers that there are does not arrive. New connections hear. */
  deafen(): number;
  close(): Promise<void>;
}

export async function startHalfOpenProxy(target: string): Promise<HalfOpenProxy> {
  const { port } = new URL(target);
  const open = new Set<Socket>();
  const subscribers = new Map<Socket, Socket>();
  const proxy = createServer((client) => {
    const server = connect(Number(port), '127.0.0.1');
    for (const socket of [client, server]) {
      socket.setNoDelay(true);
      open.add(socket);
      socket.on('error', () => {});
      socket.on('close', () => {
        for (const end of [client, server]) {
          open.delete(end);
          subscribers.delete(end);
          end.destroy();
        }
      });
    }
    client.on('data', (bytes) => {
      if (bytes.toString('latin1').toLowerCase().includes('\r\nsubscribe\r\n')) subscribers.set(client, server);
    });
    client.pipe(server).pipe(client);
  });
  proxy.listen(0, '127.0.0.1');
  await once(proxy, 'listening');
  return {
    url: `redis://127.0.0.1:${(proxy.address() as AddressInfo).port}`,
    deafen() {
      const deaf = [...subscribers];
      for (const [client, server] of deaf) {
        server.unpipe(client).resume();
        subscribers.delete(client);
      }
      return deaf.length;
    },
    async close() {
      for (const socket of open) socket.destroy();
      proxy.close();
      await once(proxy, 'close');
    },
  };
}
