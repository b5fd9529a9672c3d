import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { Redis } from 'ioredis';
import { until } from './until.js';

/**
 * Watches, by MONITOR, what the lock scripts do to one lock, in the order in which the server does it: who joins its
 * queue and who is granted the lock. So the order is the server's own and no process' opinion.
 */
export class GrantOrder {
  readonly #client: Redis;
  readonly #monitor: Socket;
  readonly #main: string;
  readonly #queue: string[] = [];
  readonly #outOfTurn: string[] = [];
  readonly #holders = new Set<string>();
  #sawEnd = false;

  private constructor(client: Redis, monitor: Socket, name: string) {
    this.#client = client;
    this.#monitor = monitor;
    this.#main = `lock:${name}`;
    let rest = '';
    monitor.on('data', (chunk: string) => {
      const lines = (rest + chunk).split('\r\n');
      rest = lines.pop() ?? '';
      for (const line of lines) this.#saw([...line.matchAll(/"((?:[^"\\]|\\.)*)"/g)].map(([, word]) => word ?? ''));
    });
  }

  /** On a bare socket: what is told of may arrive in one packet with MONITOR's own answer, which takes a client by surprise. */
  static async watch(url: string, name: string): Promise<GrantOrder> {
    const { hostname, port } = new URL(url);
    const monitor = connect(Number(port), hostname).setEncoding('latin1');
    await once(monitor, 'connect');
    const answered = once(monitor, 'data');
    const order = new GrantOrder(new Redis(url), monitor, name);
    monitor.write('MONITOR\r\n');
    await answered;
    return order;
  }

  /** What was seen, once everything that happened until now has been. */
  async end(): Promise<{ grants: number; outOfTurn: string[] }> {
    await this.#client.echo(`end of ${this.#main}`);
    await until(() => this.#sawEnd, { what: 'the monitor has seen everything', everyMs: 5 });
    this.#monitor.destroy();
    this.#client.disconnect();
    return { grants: this.#holders.size, outOfTurn: this.#outOfTurn };
  }

  #saw([command = '', key = '', ...args]: string[]): void {
    const verb = command.toLowerCase();
    if (verb === 'echo' && key === `end of ${this.#main}`) this.#sawEnd = true;
    if (key === `{${this.#main}}:~queue`) {
      // ZADD queue NX place nonce. Heartbeats repeat it.
      if (verb === 'zadd' && !this.#queue.includes(args[2]!) && !this.#holders.has(args[2]!))
        this.#queue.push(args[2]!);
      if (verb === 'zrem') this.#leave(args[0]!);
    }
    // SET lock <nonce>. Again for somebody who has had it, when a heartbeat was executed late and put it back into the
    // queue: that one is no waiter, and gives the lock back at once.
    const [nonce = ''] = args;
    if (key === this.#main && verb === 'set' && !this.#holders.has(nonce)) this.#granted(nonce);
  }

  #granted(nonce: string): void {
    this.#holders.add(nonce);
    const [first] = this.#queue;
    // Whoever did not wait may be granted the lock only while nobody waits.
    if (first !== undefined && first !== nonce) this.#outOfTurn.push(`${nonce} before ${first}`);
    this.#leave(nonce);
  }

  #leave(nonce: string): void {
    const at = this.#queue.indexOf(nonce);
    if (at >= 0) this.#queue.splice(at, 1);
  }
}
