import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { Transform, type TransformCallback } from 'node:stream';

/** What Redis says on one connection. */
class Answers extends Transform {
  /** Its client has subscribed to something: what it hears is never held. */
  subscriber = false;
  deaf = false;
  holding = false;
  /** What waits, in order. */
  readonly held: Buffer[] = [];
  readonly #onHeard: (bytes: number) => void;

  constructor(onHeard: (bytes: number) => void) {
    super();
    this.#onHeard = onHeard;
  }

  override _transform(bytes: Buffer, _encoding: BufferEncoding, passed: TransformCallback): void {
    if (this.deaf) {
      passed();
      return;
    }
    if (this.subscriber) this.#onHeard(bytes.length);
    else if (this.holding) {
      this.held.push(bytes);
      passed();
      return;
    }
    passed(null, bytes);
  }

  release(): void {
    this.holding = false;
    for (const bytes of this.held.splice(0)) this.push(bytes);
  }
}

interface Pair {
  readonly client: Socket;
  readonly server: Socket;
  readonly answers: Answers;
}

/** A TCP proxy of a Redis on this machine, through which connections can fail in ways that a server cannot show. */
export class FaultProxy {
  readonly port: number;
  readonly #listener: Server;
  readonly #open = new Set<Socket>();
  readonly #passing = new Set<Pair>();
  readonly #frozen = new Set<Socket>();
  #target: number;
  #holding = false;
  #heard = 0;

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
    for (const { client, server, answers } of this.#passing) {
      client.unpipe(server).pause();
      server.unpipe(answers).pause();
      this.#frozen.add(client);
    }
    this.#passing.clear();
  }

  /** Ends the frozen connections for the client; the server's ends stay open. New connections pass. */
  cut(): void {
    for (const client of this.#frozen) client.destroy();
    this.#frozen.clear();
  }

  /**
   * From now on what Redis says to the subscribers that there are does not arrive. New connections hear. How many were deafened.
   */
  deafen(): number {
    const subscribers = [...this.#passing].filter(({ answers }) => answers.subscriber && !answers.deaf);
    for (const { answers } of subscribers) answers.deaf = true;
    return subscribers.length;
  }

  /** From now on answers wait; what is published goes on arriving. */
  hold(): void {
    this.#holding = true;
    for (const { answers } of this.#passing) answers.holding = true;
  }

  /** The answers that wait. */
  get held(): string {
    return [...this.#passing].map(({ answers }) => Buffer.concat(answers.held).toString('latin1')).join('');
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
    const answers = new Answers((bytes) => {
      this.#heard += bytes;
    });
    answers.holding = this.#holding;
    const pair: Pair = { client, server, answers };
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
      // As a command, not as an argument: a boot asks whether the user may subscribe.
      answers.subscriber ||= /\*\d+\r\n\$\d+\r\np?subscribe\r\n/i.test(bytes.toString('latin1'));
    });
    client.pipe(server);
    server.pipe(answers).pipe(client);
  }
}
