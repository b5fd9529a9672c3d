import { SentinelConnector, type Redis, type SentinelAddress, type SentinelConnectionOptions } from 'ioredis';
import { debugLog } from '../debug-log.js';

/** How ioredis opens a connection to a Sentinel: for one question, or to be connected again for its failover detector. */
interface SentinelClients {
  connectToSentinel?: (
    endpoint: Partial<SentinelAddress>,
    options?: { retryStrategy?: unknown; disconnectTimeout?: number },
  ) => Redis;
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
 */
export class SentinelLookup extends SentinelConnector {
  /** How many rounds in a row have found no Sentinel that answered. */
  #rounds = 0;

  constructor(options: unknown) {
    super(options as SentinelConnectionOptions);
    // Private in ioredis' types. Without the method, only the messages come back.
    const clients = this as unknown as SentinelClients;
    const open = clients.connectToSentinel?.bind(this);
    if (open === undefined) return;
    clients.connectToSentinel = (endpoint, given) => {
      const { sentinelCommandTimeout: answerMs } = this.options;
      const commandTimeout = answerMs && answerMs * 2 ** Math.min(this.#rounds, DOUBLINGS);
      const waits = commandTimeout === undefined ? {} : { commandTimeout };
      const client = open(endpoint, { ...given, ...waits, disconnectTimeout: CLOSE_MS });
      if (given === undefined || !('retryStrategy' in given)) return client;
      client.on('connect', () => {
        client.stream.unref();
      });
      return client.on('error', (error) => {
        debug?.('Sentinel %s:%s: %s', endpoint.host, endpoint.port, error.message);
      });
    };
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
