import { createConnection, createServer, type AddressInfo, type Server, type Socket } from 'node:net';

/** A port that leads to one local server, until it leads to another: what a failover looks like to a client. */
export class SwitchableProxy {
  readonly port: number;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #target: number;

  private constructor(server: Server, target: number) {
    this.#server = server;
    this.#target = target;
    this.port = (server.address() as AddressInfo).port;
    server.on('connection', (socket) => {
      this.#join(socket);
    });
  }

  static async to(target: number): Promise<SwitchableProxy> {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return new SwitchableProxy(server, target);
  }

  /** All connections die; new ones lead to `target`. */
  switchTo(target: number): void {
    this.#target = target;
    for (const socket of this.#sockets) socket.destroy();
  }

  close(): void {
    this.#server.close();
    this.switchTo(0);
  }

  #join(client: Socket): void {
    const server = createConnection(this.#target, '127.0.0.1');
    for (const [socket, other] of [
      [client, server],
      [server, client],
    ] as const) {
      this.#sockets.add(socket);
      socket.setNoDelay(true);
      socket.on('error', () => {});
      socket.on('close', () => {
        this.#sockets.delete(socket);
        other.destroy();
      });
      socket.pipe(other);
    }
  }
}
