import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { alive } from './alive.js';
import { until } from './until.js';

/** A Postgres is set up, filled with a year of sales, and three apps load: seconds, or minutes on a loaded machine. */
const STARTS_WITHIN_MS = 500_000;

/** The built launcher, as `npm run demo` runs it. */
export class Launcher {
  stdout = '';
  stderr = '';
  readonly #child: ChildProcess;
  readonly #end: Promise<unknown>;

  constructor(args: string[], env: Record<string, string> = {}) {
    if (process.env['SLUICE_STALE_BUILD']) throw new Error('dist is older than the sources: npm run build');
    this.#child = spawn(process.execPath, ['dist/apps/demo/src/launcher.js', ...args], {
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#child.stdout?.on('data', (chunk: Buffer) => (this.stdout += chunk.toString()));
    this.#child.stderr?.on('data', (chunk: Buffer) => (this.stderr += chunk.toString()));
    this.#end = once(this.#child, 'close');
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** Its exit code, or null after a signal that it did not catch. */
  async exit(): Promise<number | null> {
    await this.#end;
    return this.#child.exitCode;
  }

  /** The processes of its fleet, as it printed them. */
  async pids(): Promise<number[]> {
    const pids = (): number[] => [...this.stdout.matchAll(/pid (\d+)$/gm)].map(([, pid]) => Number(pid));
    await until(() => pids().length >= 3, { what: 'the processes serve', deadlineMs: STARTS_WITHIN_MS });
    return pids();
  }

  /** Where the page is. */
  async page(): Promise<string> {
    const url = (): string | undefined => /live at (\S+)/.exec(this.stdout)?.[1];
    await until(() => url() !== undefined, { what: 'the page is served', deadlineMs: STARTS_WITHIN_MS });
    return url() ?? '';
  }

  /** The guided scenario is over, in which it kills a process itself. */
  async staysUp(): Promise<void> {
    const invited = (): boolean => this.stdout.includes('It stays up until Ctrl-C');
    await until(invited, { what: 'the scenario is over', deadlineMs: STARTS_WITHIN_MS });
  }

  async gone(pids: readonly number[]): Promise<void> {
    await until(() => !pids.some(alive), { what: 'the processes are gone' });
  }
}
