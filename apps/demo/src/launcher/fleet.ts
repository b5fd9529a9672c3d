import { AppProcess } from './app-process.js';

/** The processes of the demo. One that ends uncalled for is started again. */
export class Fleet {
  readonly apps: readonly AppProcess[];
  /** Called when a process has ended though nobody stopped it, and again when another one serves in its place. */
  onChange: (what: string) => void = () => {};
  #stopped: Promise<unknown> | undefined;

  constructor(names: readonly string[], env: Record<string, string>) {
    this.apps = names.map((name) => new AppProcess(name, env));
    for (const app of this.apps) {
      app.onLost = (how) => {
        this.#lost(app, how);
      };
    }
  }

  async start(): Promise<void> {
    await Promise.all(this.apps.map((app) => app.start()));
  }

  async stop(): Promise<void> {
    this.#stopped ??= Promise.all(this.apps.map((app) => app.stop()));
    await this.#stopped;
  }

  /** The address of some process, in turns. */
  url(turn: number): string {
    return this.apps[turn % this.apps.length]?.url ?? '';
  }

  #lost(app: AppProcess, how: string): void {
    if (this.#stopped) return;
    this.onChange(`${app.name} ended: ${how}`);
    void this.#restart(app);
  }

  async #restart(app: AppProcess): Promise<void> {
    try {
      await app.start();
      this.onChange(`${app.name} is back, pid ${app.pid}`);
    } catch (error) {
      if (!this.#stopped) this.onChange(String(error));
    }
  }
}
