import { SentinelConnector, type Redis, type SentinelAddress, type SentinelConnectionOptions } from 'ioredis';
import { debugLog } from '../debug-log.js';

interface ServerAddress {
  readonly host?: string;
  readonly port?: number;
}

/** Private in ioredis' types. */
interface SentinelClients {
  /** Opens a connection to a Sentinel: for one question, or to be connected again for the failover detector. */
  connectToSentinel?: (
    endpoint: Partial<SentinelAddress>,
    options?: { retryStrategy?: unknown; disconnectTimeout?: number },
  ) => Redis;
  /** Asks one Sentinel for the address. */
  resolve?: (endpoint: Partial<SentinelAddress>) => Promise<ServerAddress | null>;
  /** The address that the user's `natMap` has for this one. */
  sentinelNatResolve?: (address: ServerAddress) => ServerAddress | null;
}

/** How long the socket of a Sentinel that hangs stays open after it was given up, in milliseconds. */
const CLOSE_MS = 200;

/** After each round in which no Sentinel has answered in time, the next one may take twice as long: so many times. */
const DOUBLINGS = 4;

const debug = debugLog('redis');

/**
 * Finds the primary by asking Sentinels, as ioredis does, and with its failover detector: connections on which every Sentinel
 * tells at once that the primary was switched.
 *
 * ioredis listens to no error of these connections, so each Sentinel that hangs or is down would print "Unhandled error event".
 * Such an error is no fault: ioredis connects to that Sentinel again, and the other Sentinels tell the same. A detector also
 * must not keep a process alive whose boot has failed.
 *
 * Sentinels that are only slow, all of them, get more time in each round, or they would be cut off in a loop.
 *
 * Each Sentinel tells of a switch when it learns of it, the last one seconds after the first. The detector would leave the new
 * primary each time. So a socket hears only of a switch of its own group to another server than the one that it leads to.
 */
export class SentinelLookup extends SentinelConnector {
  /** How many rounds in a row have found no Sentinel that answered. */
  #rounds = 0;
  /** Where the latest lookup led. */
  #found: ServerAddress | null = null;

  constructor(options: unknown) {
    super(options as SentinelConnectionOptions);
    const clients = this as unknown as SentinelClients;
    const [open, resolve] = [clients.connectToSentinel?.bind(this), clients.resolve?.bind(this)];
    // Without the methods, ioredis prints messages and connects again when it need not.
    if (open === undefined || resolve === undefined) return;
    clients.resolve = async (endpoint) => (this.#found = await resolve(endpoint));
    clients.connectToSentinel = (endpoint, given) => {
      const { sentinelCommandTimeout: answerMs } = this.options;
      const commandTimeout = answerMs && answerMs * 2 ** Math.min(this.#rounds, DOUBLINGS);
      const waits = commandTimeout === undefined ? {} : { commandTimeout };
      const client = open(endpoint, { ...given, ...waits, disconnectTimeout: CLOSE_MS });
      if (given === undefined || !('retryStrategy' in given)) return client;
      client.on('connect', () => {
        client.stream.unref();
      });
      hearOnly(client, (message) => this.#isNews(message));
      return client.on('error', (error) => {
        debug?.('Sentinel %s:%s: %s', endpoint.host, endpoint.port, error.message);
      });
    };
  }

  /** @param message of a switch: the name of the group, then the old address and the new one, each as host and port */
  #isNews(message: string): boolean {
    const [name, , , host = '', port] = message.split(' ');
    if (name !== this.options.name) return false;
    const told = { host, port: Number(port) };
    const { sentinelNatResolve: natResolve } = this as unknown as SentinelClients;
    const address = natResolve?.call(this, told) ?? told;
    return address.host !== this.#found?.host || address.port !== this.#found?.port;
  }

  override async connect(
    emit: Parameters<SentinelConnector['connect']>[0],
  ): Promise<Awaited<ReturnType<SentinelConnector['connect']>>> {
    const stream = await super.connect((type, error) => {
      // The error of a whole round. That of one Sentinel has another type.
      if (type === 'error') this.#rounds++;
      emit(type, error);
    });
    this.#rounds = 0;
    return stream;
  }
}

/** From now on, listeners to messages that are added to this client get only those that `accepts` accepts. */
function hearOnly(client: Redis, accepts: (message: string) => boolean): void {
  const on = client.on.bind(client) as (event: string, listener: (...args: unknown[]) => void) => Redis;
  const filtered: typeof on = (event, listener) => {
    if (event !== 'message') return on(event, listener);
    return on(event, (channel, message) => {
      if (accepts(String(message))) listener(channel, message);
    });
  };
  client.on = filtered as typeof client.on;
}
