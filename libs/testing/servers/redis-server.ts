import { randomInt } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createConnection } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { SluiceError } from '../../weave/index.js';
import type { Redis } from 'ioredis';
import { CertificateAuthority } from './certificate-authority.js';
import { launchGuarded, type GuardedProcess } from './guarded-process.js';
import { RedisAdmin } from './redis-admin.js';
import { checksSlots, userArgs, usersOf, type ServerOptions, type StartRedisOptions } from './redis-server.options.js';
import { SlotOwner } from './slot-owner.js';

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
  const slotChecks = checksSlots(options);
  const users = usersOf(options);
  return withFreePorts(() => startMember(draw(), { ...options, slotChecks, users }));
}

/** Calls `start` again, up to 20 times, as long as it finds a port taken: two fixtures may draw the same one. */
export async function withFreePorts<T>(start: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await start();
    } catch (error) {
      if (!String(error).includes('Address already in use') || attempt === PORT_ATTEMPTS) throw error;
    }
  }
}

export const drawPort = (): number => randomInt(...PORTS);

export interface Login {
  readonly username: string;
  readonly password: string;
}

/** How a topology starts one of its members. */
export interface MemberOptions extends ServerOptions {
  slotChecks?: boolean;
  /** The user of the clients. Default: none. */
  login?: Login;
  /** Files of the member's folder, by name. A restart keeps what the server has made of them. */
  files?: Readonly<Record<string, string>>;
  /** Arguments before all others, for a member in this folder. Default: nothing is persisted. */
  config?: (dir: string) => string[];
}

const nothingPersisted = (): string[] => ['--save', '', '--appendonly', 'no'];

/** Starts a server on this port. Rejects if the port is taken. */
export async function startMember(port: number, options: MemberOptions): Promise<RedisServer> {
  const dir = mkdtempSync(join(tmpdir(), 'sluice-redis-'));
  const { tls, login, args = [], users, config = nothingPersisted, files = {}, slotChecks = false } = options;
  const authority = tls === true ? new CertificateAuthority() : tls || undefined;
  const owner = slotChecks ? new SlotOwner(port, drawPort(), authority ? 'tls-port' : 'port') : undefined;
  const admin = new RedisAdmin(dir);
  try {
    for (const [name, text] of Object.entries(files)) writeFileSync(join(dir, name), text);
    const listen = authority ? tlsArgs(port, dir, authority) : ['--port', String(port)];
    const own = [...listen, '--bind', '127.0.0.1', '--dir', dir, ...admin.args, ...userArgs(users)];
    const launch = (): Promise<GuardedProcess> =>
      launchRedis(dir, [...config(dir), ...own, ...(owner?.prepare(dir) ?? []), ...args], admin, owner);
    return new RedisServer({ port, dir, admin, launch, login, ca: authority?.certificate }, await launch());
  } catch (error) {
    rmSync(dir, { recursive: true, force: true });
    throw error;
  }
}

function tlsArgs(port: number, dir: string, authority: CertificateAuthority): string[] {
  const { certificate, key } = authority.issue();
  const files = { 'tls-cert-file': certificate, 'tls-key-file': key, 'tls-ca-cert-file': authority.certificate };
  const args = Object.entries(files).flatMap(([name, text]) => {
    const file = join(dir, name);
    writeFileSync(file, text, { mode: 0o600 });
    return [`--${name}`, file];
  });
  return ['--port', '0', '--tls-port', String(port), ...args, '--tls-auth-clients', 'no', '--tls-replication', 'yes'];
}

interface Running {
  readonly port: number;
  readonly dir: string;
  readonly admin: RedisAdmin;
  readonly launch: () => Promise<GuardedProcess>;
  readonly login: Login | undefined;
  readonly ca: string | undefined;
}

/** A private Redis of one test or demo. Made by {@link startRedis}. */
export class RedisServer {
  readonly port: number;
  /** `redis://127.0.0.1:<port>`, with `tls` `rediss://…`. With the user and the password, if clients need them. */
  readonly url: string;
  /** What a client needs to trust the server: ioredis' option `tls`. Undefined without TLS. */
  readonly tls: { readonly ca: string } | undefined;
  readonly #running: Running;
  #process: GuardedProcess;

  constructor(running: Running, process: GuardedProcess) {
    const { port, ca, login } = running;
    this.port = port;
    const user = login ? `${login.username}:${login.password}@` : '';
    this.url = `${ca === undefined ? 'redis' : 'rediss'}://${user}127.0.0.1:${port}`;
    this.tls = ca === undefined ? undefined : { ca };
    this.#running = running;
    this.#process = process;
  }

  /** The pid of the server. It changes with {@link restart}. */
  get pid(): number {
    return this.#process.pid;
  }

  /** The end of the server's log. */
  get stdout(): string {
    return this.#process.output();
  }

  /**
   * Lends a client with all rights to `work`, and disconnects it after that. The client uses the server's unix socket and a
   * user of the fixture: ACL rules, TLS and proxies do not concern it. With `withinMs`, a command that has no reply by then
   * rejects; without it, a frozen server keeps the caller waiting.
   *
   * @example
   * await redis.ask((client) => client.call('ACL', 'SETUSER', 'shop', 'off'));
   */
  async ask<T>(work: (client: Redis) => Promise<T>, withinMs?: number): Promise<T> {
    return this.#running.admin.ask(work, withinMs);
  }

  /** Stops the server for good and removes its files. A second call does nothing. */
  async stop(): Promise<void> {
    await this.#process.end('SIGTERM');
    rmSync(this.#running.dir, { recursive: true, force: true });
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
    this.#process = await this.#running.launch();
  }
}

async function launchRedis(
  dir: string,
  args: readonly string[],
  admin: RedisAdmin,
  owner: SlotOwner | undefined,
): Promise<GuardedProcess> {
  const binary = process.env['SLUICE_REDIS_SERVER'] ?? 'redis-server';
  const server = await launchGuarded(dir, binary, args);
  const deadline = performance.now() + READY_WITHIN_MS;
  // By a socket in our own folder: on the port, another server might answer.
  while (!(await answers(admin.socket))) {
    if (server.exited) throw failed(binary, server, 'ended while it started');
    if (performance.now() > deadline) {
      await server.end('SIGKILL');
      throw failed(binary, server, `did not answer within ${READY_WITHIN_MS} ms`);
    }
    await pause(10);
  }
  try {
    await owner?.take(admin);
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
