import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';

interface Pair {
  readonly client: Socket;
  readonly server: Socket;
  /** Its client has subscribed to something. */
  subscriber: boolean;
}

/** A TCP proxy of a Redis on this machine, through which connections can fail in ways that a server cannot show. */
export class FaultProxy {
  readonly port: number;
  readonly #listener: Server;
  readonly #open = new Set<Socket>();
  readonly #passing = new Set<Pair>();
  readonly #frozen = new Set<Socket>();
  #target: number;

  private constructor(listener: Server, target: number) {
    this.#listener = listener;
    this.#target = target;
    this.port = (listener.address() as AddressInfo).port;
    listener.on('connection', (client) => {
      this.#join(client);
    });
  }

  static async to(target: number): Promise<FaultProxy> {
    const listener = createServer();
    listener.listen(0, '127.0.0.1');
    await once(listener, 'listening');
    return new FaultProxy(listener, target);
  }

  get url(): string {
    return `redis://127.0.0.1:${this.port}`;
  }

  /** From now on nothing passes through the connections that there are, in either direction: they are half-open. */
  freeze(): void {
    for (const { client, server } of this.#passing) {
      client.unpipe(server).pause();
      server.unpipe(client).pause();
      this.#frozen.add(client);
    }
    this.#passing.clear();
  }

  /** Ends the frozen connections for the client; the server's ends stay open. New connections pass. */
  cut(): void {
    for (const client of this.#frozen) client.destroy();
    this.#frozen.clear();
  }

  /** From now on what Redis says to the subscribers that there are does not arrive. New connections hear. How many were deafened. */
  deafen(): number {
    const subscribers = [...this.#passing].filter(({ subscriber }) => subscriber);
    for (const pair of subscribers) {
      pair.server.unpipe(pair.client).resume();
      pair.subscriber = false;
    }
    return subscribers.length;
  }

  /** New connections lead to `target`; those that there are stay. */
  leadTo(target: number): void {
    this.#target = target;
  }

  /** All connections die; new ones lead to `target`: what a failover looks like to a client. */
  switchTo(target: number): void {
    this.leadTo(target);
    for (const socket of this.#open) socket.destroy();
  }

  async close(): Promise<void> {
    for (const socket of this.#open) socket.destroy();
    this.#listener.close();
    await once(this.#listener, 'close');
  }

  #join(client: Socket): void {
    const server = connect(this.#target, '127.0.0.1');
    const pair: Pair = { client, server, subscriber: false };
    this.#passing.add(pair);
    for (const socket of [client, server]) {
      socket.setNoDelay(true);
      this.#open.add(socket);
      socket.on('error', () => {});
      socket.on('close', () => {
        this.#open.delete(socket);
        // A frozen connection's other end is none the wiser.
        if (!this.#passing.delete(pair)) return;
        client.destroy();
        server.destroy();
      });
    }
    client.on('data', (bytes) => {
      if (bytes.toString('latin1').toLowerCase().includes('\r\nsubscribe\r\n')) pair.subscriber = true;
    });
    client.pipe(server).pipe(client);
  }
}
