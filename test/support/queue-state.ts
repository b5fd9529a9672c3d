import { GROUP, task, type QueueScriptBed } from './queue-script-bed.js';

/** Of the keys of a queue, those that a state consists of. */
export type StateKeys = Readonly<Record<'stream' | 'index' | 'dead' | 'deadIndex' | 'alive', string>>;

/** `0 … n - 1`. */
export const count = (n: number): number[] => Array.from({ length: n }, (_, i) => i);

/** Puts a queue into a state of a certain size, in a few round trips. */
export class QueueState {
  readonly #bed: QueueScriptBed;
  readonly #keys: StateKeys;

  constructor(bed: QueueScriptBed, keys: StateKeys) {
    this.#bed = bed;
    this.#keys = keys;
  }

  async group(): Promise<void> {
    await this.#bed.admin.xgroup('CREATE', this.#keys.stream, GROUP, '0', 'MKSTREAM');
  }

  /** Adds `n` entries, whose tasks `task-0 … task-<n-1>` have other ids. Resolves to the entries' ids. */
  readonly entries = async (n: number, stream: string, index: string): Promise<string[]> => {
    const adding = this.#bed.admin.pipeline();
    for (const i of count(n)) adding.xadd(stream, '*', ...task('1', '1', JSON.stringify({ id: `task-${i}` })));
    const ids = (await adding.exec())!.map(([, id]) => id as string);
    const indexing = this.#bed.admin.pipeline();
    for (const [i, id] of ids.entries()) {
      const [ms, seq] = id.split('-').map(Number);
      indexing.zadd(index, ms! + seq! / 2_048, `task-${i}`);
    }
    await indexing.exec();
    return ids;
  };

  /** `n` tasks wait. */
  readonly waiting = async (n: number): Promise<string[]> => {
    await this.group();
    return this.entries(n, this.#keys.stream, this.#keys.index);
  };

  /** `n` tasks are with a consumer. */
  readonly pending = async (n: number, consumer: string): Promise<string[]> => {
    const ids = await this.waiting(n);
    await this.#bed.admin.xreadgroup('GROUP', GROUP, consumer, 'COUNT', n, 'STREAMS', this.#keys.stream, '>');
    return ids;
  };

  /** `n` dead letters. */
  readonly deadLetters = (n: number): Promise<string[]> => this.entries(n, this.#keys.dead, this.#keys.deadIndex);

  /** `n` consumers whose lease lasts for `leaseMs` more; a negative one is over. */
  readonly consumers = async (n: number, name: string, leaseMs: number): Promise<void> => {
    const ends = (await this.#bed.serverMs()) + leaseMs;
    const adding = this.#bed.admin.pipeline();
    for (const i of count(n)) {
      adding.zadd(this.#keys.alive, ends, `${name}${i}`);
      adding.xgroup('CREATECONSUMER', this.#keys.stream, GROUP, `${name}${i}`);
    }
    await adding.exec();
  };
}
