import type { Redis } from 'ioredis';
import { setTimeout as pause } from 'node:timers/promises';
import { backoffMs } from '../time/backoff.js';
import type { ResolvedConnection } from '../redis.options.js';
import type { Clock } from '../time/clock.js';
import { CredentialSource } from './credentials.js';
import { isDenied } from '../connection/server-errors.js';

/** What ioredis does not declare, and has in 5.4 as in 6. */
interface Internals {
  readonly connector: Connector;
  /** Of the connect under way. */
  readonly condition: { auth?: string | [string, string] };
}

/** Opens the sockets of a client. */
interface Connector {
  /** False as soon as the client was told to disconnect. */
  connecting: boolean;
  connect(emit: EmitError): Promise<Redis['stream']>;
  disconnect(): void;
  /** Only of clients that ask Sentinels. Makes a client for one of them. */
  connectToSentinel?(address: unknown, options?: object): Redis;
}

type EmitError = (event: 'error', error: Error) => void;

export interface Login {
  /** Default: the username and password of the client's options. */
  credentials?: CredentialSource | undefined;
  /** The same for the Sentinels. */
  sentinelCredentials?: CredentialSource | undefined;
}

/** What the options of a connection say about it. */
export function loginOf(config: ResolvedConnection, clock: Clock): Login {
  const { commandTimeoutMs, bootTimeoutMs } = config;
  // A boot can tell that it waits for an answer.
  const timeoutMs = Math.min(commandTimeoutMs, Math.ceil(bootTimeoutMs / 2));
  const sourceOf = (option: 'credentials' | 'sentinelCredentials'): CredentialSource | undefined => {
    const ask = config[option];
    return ask && new CredentialSource({ option, ask, clock, timeoutMs });
  };
  return { credentials: sourceOf('credentials'), sentinelCredentials: sourceOf('sentinelCredentials') };
}

/** In ioredis' words, which it does not report when it was told to disconnect. */
const CLOSED = 'Connection is closed.';

/** The shortest and the longest time between two questions for credentials after a failure, in milliseconds. */
const ASK_AGAIN_MS = [100, 5_000] as const;

/**
 * Adds two things to each connect of a client that has not connected yet. Answers the client.
 *
 * Credentials are asked for anew. While that fails, the client stays in its connect, and asks again with growing pauses.
 *
 * A socket may report several errors: one whose peer is not trusted does so while TLS ends. ioredis listens to the first one
 * only, and Node ends the process for the next. So each socket, also those to Sentinels, gets a further listener.
 */
export function hookConnects(client: Redis, login: Login = {}): Redis {
  const { connector } = client as unknown as Internals;
  const connect = connector.connect.bind(connector);
  const logIn = login.credentials && askingFor(login.credentials, client);
  let ofSentinel: Error | undefined;
  connector.connect = async (emit) => {
    if (logIn !== undefined) await logIn(emit);
    const stream = await connect((event, error) => {
      emit(event, explained(error, ofSentinel));
    });
    return stream.on('error', ignore);
  };
  const connectToSentinel = connector.connectToSentinel?.bind(connector);
  if (connectToSentinel === undefined) return client;
  connector.connectToSentinel = (address, options) => {
    const sentinel = connectToSentinel(address, { ...options, lazyConnect: true });
    sentinel.on('error', (error: Error) => {
      ofSentinel = error;
    });
    return hookConnects(sentinel, { credentials: login.sentinelCredentials });
  };
  return client;
}

/** Of the socket to a Sentinel, ioredis tells no more than that it closed. */
function explained(error: Error, ofSentinel: Error | undefined): Error {
  if (ofSentinel !== undefined) error.message = error.message.replace(CLOSED, ofSentinel.message);
  return error;
}

/** For a client of the user's, which may have connected: to be called with each error that it reports. */
export function ignoreFurtherErrors(client: Redis): void {
  (client.stream as Redis['stream'] | undefined)?.on('error', ignore);
}

/** Answers what logs one connect in. It ends as soon as the client is told to disconnect. */
function askingFor(source: CredentialSource, client: Redis): (emit: EmitError) => Promise<void> {
  const internals = client as unknown as Internals;
  const { connector } = internals;
  let stop = new AbortController();
  const disconnect = connector.disconnect.bind(connector);
  connector.disconnect = () => {
    stop.abort();
    disconnect();
  };
  let failures = 0;
  client.on('ready', () => {
    failures = 0;
  });
  client.on('error', (error: Error) => {
    // A new password may need a moment until all servers know it.
    if (isDenied(error)) failures++;
  });
  const logIn = async (signal: AbortSignal): Promise<void> => {
    if (failures > 0) await pause(backoffMs(failures - 1, ...ASK_AGAIN_MS), undefined, { signal });
    const { username, password } = await source.ask(signal);
    internals.condition.auth = username === undefined ? password : [username, password];
  };
  return async (emit) => {
    connector.connecting = true;
    stop = new AbortController();
    const { signal } = stop;
    for (;;) {
      const failure = await logIn(signal).then(
        () => undefined,
        (error: unknown) => error as Error,
      );
      if (signal.aborted) throw new Error(CLOSED);
      if (failure === undefined) return;
      // A client that does not reconnect is one that asks a Sentinel: the next Sentinel is asked.
      if (typeof client.options.retryStrategy !== 'function') throw failure;
      failures++;
      emit('error', failure);
    }
  };
}

function ignore(): void {
  // The first error was reported.
}
