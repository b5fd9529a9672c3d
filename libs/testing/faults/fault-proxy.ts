import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { Commands } from './commands.js';
import { Passage } from './passage.js';

interface Pair {
  readonly client: Socket;
  readonly server: Socket;
  readonly asked: Passage;
  readonly answers: Passage;
  /** Its client has subscribed to something: what it hears is never held. */
  subscriber: boolean;
}

/**
 * A TCP proxy of a Redis on this machine, through which connections fail in ways that a server cannot show. It listens on a
 * free loopback port. Faults concern the connections that there are, and where the method says so, new ones too.
 *
 * @example
 * const proxy = await FaultProxy.to(redis.port);
 * const client = new Redis(proxy.url);
 * proxy.resetAfter('set'); // executed, but the client is not told
 * await client.set('a', 1).catch(() => {});
 * await proxy.close();
 */
export class FaultProxy {
  readonly port: number;
  readonly #listener: Server;
  readonly #open = new Set<Socket>();
  readonly #passing = new Set<Pair>();
  readonly #frozen = new Set<Socket>();
  readonly #doomed = new Set<string>();
  #target: number;
  #holding = false;
  #latencyMs = 0;
  #bytewise = false;
  #heard = 0;

  private constructor(listener: Server, target: number) {
    this.#listener = listener;
    this.#target = target;
    this.port = (listener.address() as AddressInfo).port;
    listener.on('connection', (client) => {
      this.#join(client);
    });
  }

  /** A proxy of the server at this port of 127.0.0.1. */
  static async to(target: number): Promise<FaultProxy> {
    const listener = createServer();
    listener.listen(0, '127.0.0.1');
    await once(listener, 'listening');
    return new FaultProxy(listener, target);
  }

  get url(): string {
    return `redis://127.0.0.1:${this.port}`;
  }

  /** From now on everything arrives so many milliseconds later, in order, in both directions; on new connections too. 0 ends it. */
  delay(latencyMs: number): void {
    this.#latencyMs = latencyMs;
    for (const passage of this.#passages()) passage.latencyMs = latencyMs;
  }

  /** From now on everything arrives one byte at a time, in both directions, on new connections too. `false` ends it. */
  bytewise(on = true): void {
    this.#bytewise = on;
    for (const passage of this.#passages()) passage.bytewise = on;
  }

  /**
   * The next command of this name is executed, its answer is lost, and its connection is reset. Answers to commands before
   * it that are still on their way are lost too. Without a name: the next command, whatever it is.
   */
  resetAfter(command = ''): void {
    this.#doomed.add(command.toLowerCase());
  }

  /** From now on nothing passes through the connections that there are, in either direction: they are half-open. */
  freeze(): void {
    for (const { client, server, asked, answers } of this.#passing) {
      client.unpipe(asked).pause();
      server.unpipe(answers).pause();
      asked.halt();
      answers.halt();
      this.#frozen.add(client);
    }
    this.#passing.clear();
  }

  /** Ends the frozen connections for the client; the server's ends stay open. New connections pass. */
  cut(): void {
    for (const client of this.#frozen) client.destroy();
    this.#frozen.clear();
  }

  /** From now on what Redis says to the subscribers that there are does not arrive. New connections hear. Returns how many were deafened. */
  deafen(): number {
    const subscribers = [...this.#passing].filter(({ subscriber, answers }) => subscriber && !answers.deaf);
    for (const { answers } of subscribers) answers.deaf = true;
    return subscribers.length;
  }

  /** From now on answers wait, on new connections too: they stall. What is published goes on arriving. */
  hold(): void {
    this.#holding = true;
    for (const { answers, subscriber } of this.#passing) answers.holding = !subscriber;
  }

  /** The answers that wait. */
  get held(): string {
    return [...this.#passing].map(({ answers }) => answers.held.toString('latin1')).join('');
  }

  /** What waits goes on, in order, and so does whatever follows. */
  release(): void {
    this.#holding = false;
    for (const { answers } of this.#passing) answers.release();
  }

  /** How many bytes subscribers have got. */
  get heard(): number {
    return this.#heard;
  }

  /** New connections lead to the server at this port; those that there are stay. */
  leadTo(target: number): void {
    this.#target = target;
  }

  /** All connections die; new ones lead to `target`: what a failover looks like to a client. */
  switchTo(target: number): void {
    this.leadTo(target);
    for (const socket of this.#open) socket.destroy();
  }

  /** Ends all connections and stops listening. */
  async close(): Promise<void> {
    for (const socket of this.#open) socket.destroy();
    this.#listener.close();
    await once(this.#listener, 'close');
  }

  #passages(): Passage[] {
    return [...this.#passing].flatMap(({ asked, answers }) => [asked, answers]);
  }

  #join(client: Socket): void {
    const server = connect(this.#target, '127.0.0.1');
    const commands = new Commands();
    const asked = new Passage((bytes) => {
      this.#read(pair, commands.read(bytes));
    });
    const answers = new Passage((bytes) => {
      if (pair.subscriber && !answers.deaf) this.#heard += bytes.length;
    });
    const pair: Pair = { client, server, asked, answers, subscriber: false };
    this.#passing.add(pair);
    for (const passage of [asked, answers]) {
      passage.latencyMs = this.#latencyMs;
      passage.bytewise = this.#bytewise;
    }
    answers.holding = this.#holding;
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
    client.pipe(asked).pipe(server);
    server.pipe(answers).pipe(client);
  }

  #read(pair: Pair, names: readonly string[]): void {
    // As a command, not as an argument: a boot asks whether the user may subscribe.
    if (names.some((name) => /^p?subscribe$/.test(name))) {
      pair.subscriber = true;
      pair.answers.holding = false;
    }
    if (names.some((name) => this.#doomed.delete(name) || this.#doomed.delete(''))) this.#reset(pair);
  }

  /** The server executes what it was sent before it sees the end of the connection. Then it closes its own end. */
  #reset({ client, server, asked, answers }: Pair): void {
    answers.deaf = true;
    answers.unpipe(client);
    server.once('end', () => client.resetAndDestroy());
    // Once these bytes have passed.
    setImmediate(() => {
      client.unpipe(asked).pause();
      asked.end();
    });
  }
}
