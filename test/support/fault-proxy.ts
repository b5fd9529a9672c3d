import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';

/** A TCP proxy whose connections can go half-open: dead for the client, alive for the server. */
export interface FaultProxy {
  readonly port: number;
  /** From now on nothing passes through the connections that there are, in either direction. */
  freeze(): void;
  /** Ends the frozen connections for the client; the server's ends stay open. New connections pass. */
  cut(): void;
  close(): Promise<void>;
}

/** Forwards to a port of this machine. */
export async function startFaultProxy(target: number): Promise<FaultProxy> {
  const open = new Set<Socket>();
  const passing = new Set<[client: Socket, server: Socket]>();
  const frozen = new Set<Socket>();
  const proxy = createServer((client) => {
    const server = connect(target, '127.0.0.1');
    const pair: [Socket, Socket] = [client, server];
    passing.add(pair);
    for (const socket of pair) {
      socket.setNoDelay(true);
      open.add(socket);
      socket.on('error', () => {});
      socket.on('close', () => {
        open.delete(socket);
        // A frozen connection's other end is none the wiser.
        if (passing.delete(pair)) for (const end of pair) end.destroy();
      });
    }
    client.pipe(server).pipe(client);
  });
  proxy.listen(0, '127.0.0.1');
  await once(proxy, 'listening');
  return {
    port: (proxy.address() as AddressInfo).port,
    freeze() {
      for (const [client, server] of passing) {
        client.unpipe(server).pause();
        server.unpipe(client).pause();
        frozen.add(client);
      }
      passing.clear();
    },
    cut() {
      for (const client of frozen) client.destroy();
      frozen.clear();
    },
    async close() {
      for (const socket of open) socket.destroy();
      proxy.close();
      await once(proxy, 'close');
    },
  };
}
