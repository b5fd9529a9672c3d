import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Redis } from 'ioredis';
import type { RedisAdmin } from './redis-admin.js';

/**
 * Makes one server in cluster mode the owner of all 16,384 slots. Such a server checks slots: it rejects each command
 * and each script whose keys lie in several slots. It checks the KEYS of a script; other keys that the script uses are
 * checked only if its text begins with `#!lua`.
 *
 * A master that has just started refuses all keys for two seconds (`CLUSTER_WRITABLE_DELAY`). A replica does not wait.
 * So the server starts as the replica of a master that does not exist, and takes over from it. The server opens its port
 * after that: no client can meet it without its slots, also after a restart.
 */
export class SlotOwner {
  readonly #port: number;
  readonly #busPort: number;
  readonly #opens: 'port' | 'tls-port';
  readonly #id = randomBytes(20).toString('hex');
  readonly #absent = randomBytes(20).toString('hex');

  /** @param opens the setting that holds the port: `port` or `tls-port` */
  constructor(port: number, busPort: number, opens: 'port' | 'tls-port') {
    this.#port = port;
    this.#busPort = busPort;
    this.#opens = opens;
  }

  /** Writes what the server shall know about its cluster into `dir`. Returns the arguments of the server. */
  prepare(dir: string): string[] {
    const nodes = [
      `${this.#id} 127.0.0.1:${this.#port}@${this.#busPort} myself,slave ${this.#absent} 0 0 1 connected`,
      `${this.#absent} 127.0.0.1:1@1 master - 0 0 1 connected 0-16383`,
      'vars currentEpoch 1 lastVoteEpoch 0',
    ];
    writeFileSync(join(dir, 'nodes.conf'), `${nodes.join('\n')}\n`);
    return [
      ...['--cluster-enabled', 'yes', '--cluster-config-file', 'nodes.conf', '--cluster-port', String(this.#busPort)],
      ...[`--${this.#opens}`, '0', '--cluster-announce-port', String(this.#port)],
    ];
  }

  /** Takes the slots, then opens the port. Rejects with the server's error, for example if the port is taken. */
  async take(admin: RedisAdmin): Promise<void> {
    await admin.ask(async (client) => {
      await this.#untilServing(client);
      await client.cluster('FAILOVER', 'TAKEOVER');
      await client.cluster('FORGET', this.#absent);
      await this.#untilServing(client);
      await client.config('SET', this.#opens, this.#port);
    });
  }

  /** The server sets this state in its own loop, within a few milliseconds. Each question makes the loop turn. */
  async #untilServing(client: Redis): Promise<void> {
    while (!(await client.cluster('INFO')).includes('cluster_state:ok'));
  }
}
