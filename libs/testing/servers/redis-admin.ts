import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { Redis } from 'ioredis';

const NAME = 'sluice-fixture';

/** The fixture's own user of one server: has all rights, whatever the other users may do. */
export class RedisAdmin {
  /** The server's unix socket. */
  readonly socket: string;
  readonly #password = randomBytes(16).toString('hex');

  constructor(dir: string) {
    this.socket = join(dir, 'server.sock');
  }

  get args(): string[] {
    return ['--unixsocket', this.socket, '--user', NAME, 'on', `>${this.#password}`, '~*', '&*', '+@all'];
  }

  /** A client of the unix socket: needs no port, no TLS, and does not pass a proxy. It does not reconnect. */
  connect(withinMs?: number): Redis {
    const { socket: path } = this;
    const limit = withinMs === undefined ? {} : { commandTimeout: withinMs };
    const client = new Redis({ path, username: NAME, password: this.#password, retryStrategy: () => null, ...limit });
    client.on('error', () => {});
    return client;
  }

  /** Connects, works, disconnects. With `withinMs`, a command that has no reply by then rejects: the server is frozen. */
  async ask<T>(work: (client: Redis) => Promise<T>, withinMs?: number): Promise<T> {
    const client = this.connect(withinMs);
    try {
      return await work(client);
    } finally {
      client.disconnect();
    }
  }
}
