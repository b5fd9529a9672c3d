import { randomInt } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { createConnection } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { SluiceError } from '../../weave/index.js';
import { launchGuarded, type GuardedProcess } from './guarded-process.js';
import { SlotOwner } from './slot-owner.js';

export interface StartRedisOptions {
  /** Further arguments of `redis-server`. They override those of the fixture. Example: `['--appendonly', 'yes']`. */
  args?: readonly string[];
  /**
   * True: the server is in cluster mode and owns all slots. It rejects commands and scripts whose keys are in several
   * slots (`CROSSSLOT`), as each node of a Redis Cluster does, and a plain client works with it. It has one database.
   * Of a script, Redis checks the KEYS; further keys only if the script begins with `#!lua`.
   *
   * Default: true if the environment has `SLUICE_TEST_TOPOLOGY=slots`, so that a whole suite can run on such servers.
   */
  slotChecks?: boolean;
}

/** Limit for a start. A large append-only file or a busy machine makes a start slow. */
const READY_WITHIN_MS = 20_000;
/** Below 32768, because Linux uses higher ports for outgoing connections: a stopped server's port stays free. */
const PORTS = [20_000, 32_768] as const;
const PORT_ATTEMPTS = 20;

/**
 * Starts a private `redis-server` on a free loopback port. Nothing is persisted, and its files are in a temporary folder.
 *
 * The server ends with this process, also when this process is killed with SIGKILL. The binary is
 * `SLUICE_REDIS_SERVER` (a path), else `redis-server` on the PATH, else `SLUICE_NO_REDIS_SERVER`.
 *
 * @throws {SluiceError} `SLUICE_NO_REDIS_SERVER` if the binary is missing, or the server does not start within 20 s
 * @example
 * const redis = await startRedis();
 * const client = new Redis(redis.url);
 * await redis.stop();
 */
export async function startRedis(options: StartRedisOptions = {}): Promise<RedisServer> {
  return startRedisOn(() => randomInt(...PORTS), options);
}

/** {@link startRedis} on a port from `draw`. If the port is taken, `draw` is called again. */
export async function startRedisOn(draw: () => number, options: StartRedisOptions = {}): Promise<RedisServer> {
  const dir = mkdtempSync(join(tmpdir(), 'sluice-redis-'));
  try {
    for (let attempt = 1; ; attempt++) {
      const port = draw();
      const owner = checksSlots(options) ? new SlotOwner(port, randomInt(...PORTS)) : undefined;
      const launch = (): Promise<GuardedProcess> => launchRedis(port, dir, options.args ?? [], owner);
      try {
        return new RedisServer(port, dir, await launch(), launch);
      } catch (error) {
        // Two fixtures may draw the same port. The second server reports it and exits.
        if (!String(error).includes('Address already in use') || attempt === PORT_ATTEMPTS) throw error;
      }
    }
  } catch (error) {
    rmSync(dir, { recursive: true, force: true });
    throw error;
  }
}

/** A private Redis of one test or demo. Made by {@link startRedis}. */
export class RedisServer {
  readonly port: number;
  readonly url: string;
  #dir: string;
  #process: GuardedProcess;
  #launch: () => Promise<GuardedProcess>;

  constructor(port: number, dir: string, process: GuardedProcess, launch: () => Promise<GuardedProcess>) {
    this.port = port;
    this.url = `redis://127.0.0.1:${port}`;
    this.#dir = dir;
    this.#process = process;
    this.#launch = launch;
  }

  /** The pid of the server. It changes with {@link restart}. */
  get pid(): number {
    return this.#process.pid;
  }

  /** The end of the server's log. */
  get stdout(): string {
    return this.#process.output();
  }

  /** Stops the server for good and removes its files. A second call does nothing. */
  async stop(): Promise<void> {
    await this.#process.end('SIGTERM');
    rmSync(this.#dir, { recursive: true, force: true });
  }

  /** Ends the server by `signal` and waits for its end. Its files stay, and {@link restart} uses them. */
  async kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    await this.#process.end(signal);
  }

  /** Freezes the server (SIGSTOP): sockets stay open, commands get no reply. */
  pause(): void {
    this.#process.signal('SIGSTOP');
  }

  resume(): void {
    this.#process.signal('SIGCONT');
  }

  /** Starts the server again with the same port and files. A running server is ended first. */
  async restart(): Promise<void> {
    await this.#process.end('SIGTERM');
    this.#process = await this.#launch();
  }
}

function checksSlots({ slotChecks }: StartRedisOptions): boolean {
  const topology = process.env['SLUICE_TEST_TOPOLOGY'] ?? '';
  if (!['', 'slots'].includes(topology)) {
    throw new SluiceError('SLUICE_BAD_OPTION', `SLUICE_TEST_TOPOLOGY is "${topology}": it can only be "slots"`);
  }
  return slotChecks ?? topology === 'slots';
}

async function launchRedis(
  port: number,
  dir: string,
  args: readonly string[],
  owner: SlotOwner | undefined,
): Promise<GuardedProcess> {
  const socket = join(dir, 'server.sock');
  const binary = process.env['SLUICE_REDIS_SERVER'] ?? 'redis-server';
  const own = ['--port', String(port), '--bind', '127.0.0.1', '--dir', dir, '--save', '', '--appendonly', 'no'];
  const slots = owner?.prepare(dir) ?? [];
  const server = await launchGuarded(dir, binary, [...own, '--unixsocket', socket, ...slots, ...args]);
  const deadline = performance.now() + READY_WITHIN_MS;
  // By a socket in our own folder: on the port, another server might answer.
  while (!(await answers(socket))) {
    if (server.exited) throw failed(binary, server, 'ended while it started');
    if (performance.now() > deadline) {
      await server.end('SIGKILL');
      throw failed(binary, server, `did not answer within ${READY_WITHIN_MS} ms`);
    }
    await pause(10);
  }
  try {
    await owner?.take(socket);
  } catch (error) {
    await server.end('SIGKILL');
    throw failed(binary, server, `did not take its slots or its port (${String(error)})`);
  }
  server.unref();
  return server;
}

function failed(binary: string, server: GuardedProcess, how: string): SluiceError {
  const output = server.output();
  if (output.includes('not found') || output.includes('No such file')) {
    return new SluiceError(
      'SLUICE_NO_REDIS_SERVER',
      `${binary} cannot be run: install redis-server (Debian: apt-get install redis-server), ` +
        `or set SLUICE_REDIS_SERVER to its path. The shell said: ${output}`,
    );
  }
  return new SluiceError('SLUICE_NO_REDIS_SERVER', `${binary} ${how}. The end of its log:\n${output}`);
}

/** True if a Redis serves commands at this unix socket. NOAUTH counts as serving, LOADING does not. */
function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createConnection({ path });
    const settle = (answer: boolean): void => {
      socket.destroy();
      resolve(answer);
    };
    socket.setTimeout(1_000, () => {
      settle(false);
    });
    socket.once('error', () => {
      settle(false);
    });
    socket.once('data', (reply) => {
      settle(/^(\+PONG|-NOAUTH)/.test(reply.toString()));
    });
    socket.write('PING\r\n');
  });
}
