import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { Serving } from './follow.js';

const MAIN = fileURLToPath(new URL('../main.js', import.meta.url));
/** A few seconds, unless the machine is busy. */
const READY_WITHIN_MS = 300_000;
/** Far longer than the drain of the queue's handlers. */
const STOP_WITHIN_MS = 120_000;

/** One process of the fleet: the app, as `node main.js` runs it. */
export class AppProcess {
  readonly name: string;
  /** Called when it ends though neither `stop` nor `kill` was. */
  onLost: (how: string) => void = () => {};
  #env: Record<string, string>;
  #child: ChildProcess | undefined;
  #url = '';
  #output = '';

  constructor(name: string, env: Record<string, string>) {
    this.name = name;
    this.#env = env;
  }

  /** Where it serves. The same after a restart. */
  get url(): string {
    return this.#url;
  }

  get pid(): number {
    return this.#child?.pid ?? 0;
  }

  /** Resolves once it serves. */
  async start(): Promise<void> {
    const port = this.#url === '' ? '0' : new URL(this.#url).port;
    const child = fork(MAIN, {
      env: { ...process.env, ...this.#env, INSTANCE: this.name, PORT: port, NO_COLOR: '1' },
      // A Ctrl-C in the terminal reaches the launcher alone, which then stops this process in order.
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    });
    this.#child = child;
    this.#output = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream?.on('data', (chunk: Buffer) => {
        this.#output = (this.#output + chunk.toString()).slice(-4_096);
      });
    }
    this.#url = await this.#serving(child);
    child.once('close', (code, signal) => {
      if (this.#child === child) this.onLost(signal ?? this.#crash(code));
    });
  }

  /** SIGTERM, as an orchestrator does it; resolves when the process is gone. */
  async stop(): Promise<void> {
    await this.#end('SIGTERM');
  }

  /** SIGKILL: the process has no chance to tidy up. Resolves when it is gone. */
  async kill(): Promise<void> {
    await this.#end('SIGKILL');
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (!child || hasEnded(child)) return;
    const gone = once(child, 'exit');
    child.kill(signal);
    const timer = setTimeout(() => child.kill('SIGKILL'), STOP_WITHIN_MS);
    await gone;
    clearTimeout(timer);
  }

  #serving(child: ChildProcess): Promise<string> {
    return new Promise((resolve, reject) => {
      const failed = (how: string): void => {
        clearTimeout(timer);
        child.kill('SIGKILL');
        reject(new Error(`${this.name} does not serve: ${how}`));
      };
      const timer = setTimeout(() => {
        failed(`not ready within ${READY_WITHIN_MS} ms`);
      }, READY_WITHIN_MS);
      child.once('error', (error) => {
        failed(error.message);
      });
      // 'close' and not 'exit': by then all of its output has been read.
      child.once('close', (code, signal) => {
        failed(signal ?? this.#crash(code));
      });
      child.once('message', (message: Serving) => {
        clearTimeout(timer);
        resolve(message.url);
      });
    });
  }

  /** What it said last is why. */
  #crash(code: number | null): string {
    return `exit code ${String(code)}\n${this.#output.trimEnd()}`;
  }
}

function hasEnded(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null;
}
