import { setTimeout as pause } from 'node:timers/promises';
import { serveJson, type JsonServer } from './json-server.js';

/** Where products come from. Slow, and it counts how often it is asked. */
export class Source {
  static readonly slownessMs = 150;
  readonly loads: { product: string; by: string }[] = [];
  /** Called at each load. */
  onLoad: (product: string, by: string) => void = () => {};
  #server: JsonServer | undefined;

  get url(): string {
    return this.#server?.url ?? '';
  }

  async open(): Promise<void> {
    this.#server = await serveJson(async ({ path, by }) => {
      const product = decodeURIComponent(path.replace('/products/', ''));
      this.loads.push({ product, by });
      this.onLoad(product, by);
      await pause(Source.slownessMs);
      return { status: 200, body: { id: product, name: `Product ${product}`, priceCents: 1_990 } };
    });
  }

  loadsOf(product: string): number {
    return this.loads.filter((load) => load.product === product).length;
  }

  async close(): Promise<void> {
    await this.#server?.close();
  }
}
