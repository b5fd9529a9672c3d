import { fork, type ChildProcess } from 'node:child_process';
import { EventEmitter, once } from 'node:events';
import { existsSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { CarriedError, FromChild, FromParent } from './app-host.js';

const READY_WITHIN_MS = 300_000;
const STOPPED_WITHIN_MS = 120_000;

export interface ForkAppOptions {
  /** Added to this process' environment. */
  env?: Record<string, string>;
  /** Node's own flags, such as `--expose-gc`. */
  execArgv?: readonly string[];
  /** How long the app may take until it serves. Default 5 min: beside busy processes it has taken more than one. */
  readyWithinMs?: number;
}

/**
 * Runs the built `dist/test/apps/<name>.js`, or the built file that a URL names, in a process of its own and resolves
 * once it serves. The app dies with this process.
 *
 * @example
 * const app = await forkApp('lock-app', { env: { REDIS_URL: redis.url } });
 * const token = await app.call<number>('acquire', 'daily', { ttlMs: 500 });
 * await app.kill();
 */
export async function forkApp(app: string | URL, options: ForkAppOptions = {}): Promise<ForkedApp> {
  const file = app instanceof URL ? fileURLToPath(app) : join(packageRoot(), 'dist', 'test', 'apps', `${app}.js`);
  if (!existsSync(file)) throw new Error(`${file} is not built: npm run build`);
  // Set by scripts/jest-setup.mjs. The app would run what the sources said yesterday, and prove nothing.
  if (process.env['SLUICE_STALE_BUILD']) throw new Error('dist is older than the sources: npm run build');
  const child = fork(file, {
    env: { ...process.env, ...options.env },
    execArgv: [...(options.execArgv ?? [])],
    serialization: 'advanced',
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
  });
  const forked = new ForkedApp(basename(file, '.js'), child);
  await forked.ready(options.readyWithinMs ?? READY_WITHIN_MS);
  return forked;
}

/** A forked app. Made by {@link forkApp}. */
export class ForkedApp {
  readonly name: string;
  readonly pid: number;
  readonly #child: ChildProcess;
  readonly #exit: Promise<void>;
  readonly #events = new EventEmitter();
  readonly #calls = new Map<number, { resolve: (result: unknown) => void; reject: (error: Error) => void }>();
  #nextCall = 1;
  #output = '';
  /** How it ended; empty while it runs. */
  #ended = '';

  constructor(name: string, child: ChildProcess) {
    this.name = name;
    this.#child = child;
    this.pid = child.pid ?? -1;
    running.add(child);
    // 'close' and not 'exit': by then all of its output has been read.
    this.#exit = once(child, 'close').then(([code, signal]) => {
      running.delete(child);
      this.#end(`ended with ${String(signal ?? code)}`);
    });
    for (const stream of [child.stdout, child.stderr]) {
      stream?.on('data', (chunk: Buffer) => {
        this.#output = (this.#output + chunk.toString()).slice(-16_384);
      });
    }
    child.on('message', (message: FromChild) => {
      this.#receive(message);
    });
    child.on('error', (error) => {
      this.#end(error.message);
    });
  }

  /** The end of what the app printed. */
  get output(): string {
    return this.#output;
  }

  /** Runs an op of the app. Its error comes back with name, message and code; if the app ends first, the call rejects. */
  async call<T>(op: string, ...args: unknown[]): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      if (this.#ended !== '') {
        reject(this.#goneError(this.#ended));
        return;
      }
      const call = this.#nextCall++;
      this.#calls.set(call, { resolve: resolve as (result: unknown) => void, reject });
      this.#send({ call, op, args });
    });
  }

  /** Calls `listener` for each event of that name. Returns the way to stop that. */
  on(event: string, listener: (payload: never) => void): () => void {
    const heard = listener as (payload: unknown) => void;
    this.#events.on(event, heard);
    return () => this.#events.off(event, heard);
  }

  /** The next event of that name. Rejects if the app ends first. */
  async once<T>(event: string): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const off = this.on(event, (payload: T) => {
        settle();
        resolve(payload);
      });
      const gone = (how: string): void => {
        settle();
        reject(this.#goneError(how));
      };
      const settle = (): void => {
        off();
        this.#events.off(GONE, gone);
      };
      this.#events.once(GONE, gone);
      if (this.#ended !== '') gone(this.#ended);
    });
  }

  /** Freezes the process (SIGSTOP): its sockets stay open, its timers stand still. */
  pause(): void {
    this.#child.kill('SIGSTOP');
  }

  resume(): void {
    this.#child.kill('SIGCONT');
  }

  /** SIGKILL; resolves when the process is gone. */
  async kill(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#exit;
  }

  /**
   * Stops the app gracefully: its `stop` runs, and then it must exit by itself within the deadline (2 min). One that
   * does not (a socket, a timer left over) is killed and reported.
   */
  async stop(deadlineMs = STOPPED_WITHIN_MS): Promise<void> {
    if (this.#ended !== '') return;
    this.#send({ stop: true });
    const timer = setTimeout(() => {
      this.#end(`did not exit by itself within ${deadlineMs} ms of its stop`);
      this.#child.kill('SIGKILL');
    }, deadlineMs);
    await this.#exit;
    clearTimeout(timer);
    if (this.#child.exitCode !== 0) throw this.#goneError(this.#ended);
  }

  async ready(withinMs: number): Promise<void> {
    const timer = setTimeout(() => {
      this.#end(`did not serve within ${withinMs} ms`);
      this.#child.kill('SIGKILL');
    }, withinMs);
    try {
      await this.once(READY);
    } finally {
      clearTimeout(timer);
    }
  }

  #receive(message: FromChild): void {
    if ('ready' in message) this.#events.emit(READY);
    else if ('event' in message) this.#events.emit(message.event, message.payload);
    else {
      const call = this.#calls.get(message.reply);
      this.#calls.delete(message.reply);
      if ('error' in message) call?.reject(revived(message.error));
      else call?.resolve(message.result);
    }
  }

  #send(message: FromParent): void {
    // A send that fails means that the app is ending, which rejects its calls.
    this.#child.send(message, () => {});
  }

  #end(how: string): void {
    this.#ended ||= how;
    this.#events.emit(GONE, this.#ended);
    for (const call of this.#calls.values()) call.reject(this.#goneError(this.#ended));
    this.#calls.clear();
  }

  #goneError(how: string): Error {
    return new Error(`app '${this.name}' (pid ${this.pid}) ${how}\n${this.#output}`.trimEnd());
  }
}

/** Killed when this process exits, in case one is frozen or busy and would not notice. */
const running = new Set<ChildProcess>();
process.once('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

/** Not names that an app could send. */
const READY = '\0ready';
const GONE = '\0gone';

function revived({ name, message, code, stack }: CarriedError): Error {
  const error = Object.assign(new Error(message), { name }, code === undefined ? {} : { code });
  if (stack !== undefined) error.stack = stack;
  return error;
}

/** The folder of package.json, seen from the sources and from `dist` alike. */
function packageRoot(): string {
  let dir = import.meta.dirname;
  while (!existsSync(join(dir, 'package.json'))) dir = dirname(dir);
  return dir;
}
