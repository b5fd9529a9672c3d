import type { RedisConnection } from '../../redis/index.js';
import type { CacheKeys } from './cache.keys.js';
import type { CircuitBreaker } from './circuit-breaker.js';
import { peekScript } from './scripts/peek.script.js';
import type { StoredValue } from './stored-value.js';

/** This many keys fill a call of the script. The server does nothing else while it runs a script. */
const KEYS_AT_ONCE = 100;

interface Peek {
  readonly entry: string;
  readonly resolve: (value: StoredValue | undefined) => void;
  readonly reject: (error: unknown) => void;
}

export interface PeekBatcherOptions {
  readonly connection: RedisConnection;
  readonly keys: CacheKeys;
  readonly breaker: CircuitBreaker;
  /** How long Redis may be silent. */
  readonly deadlineMs: number;
}

/** Only reads values. All reads of one turn of the event loop are one script, or several scripts if there are many reads. */
export class PeekBatcher {
  readonly #options: PeekBatcherOptions;
  #open: Peek[] | undefined;

  constructor(options: PeekBatcherOptions) {
    this.#options = options;
  }

  /**
   * The fresh value, if there is one.
   *
   * @throws RedisUnavailableError when the circuit is open
   */
  get(entry: string): Promise<StoredValue | undefined> {
    this.#options.breaker.admit();
    return new Promise((resolve, reject) => {
      const batch = (this.#open ??= this.#begin());
      batch.push({ entry, resolve, reject });
      if (batch.length >= KEYS_AT_ONCE) this.#send(batch);
    });
  }

  #begin(): Peek[] {
    const batch: Peek[] = [];
    // This runs once the promise jobs of this turn are done, so that all reads of the turn are in this script.
    process.nextTick(() => {
      if (this.#open === batch) this.#send(batch);
    });
    return batch;
  }

  #send(batch: readonly Peek[]): void {
    this.#open = undefined;
    const { connection, keys, breaker, deadlineMs } = this.#options;
    const call = {
      keys: { epoch: keys.epoch },
      restKeys: batch.map(({ entry }) => keys.value(entry)),
      args: { tagPrefix: keys.tagPrefix },
    };
    breaker.watch(peekScript.run(connection.commands, call, { deadlineMs, whileSilent: true })).then(
      (values) => {
        for (const [i, { resolve }] of batch.entries()) resolve(values[i]);
      },
      (error: unknown) => {
        for (const { reject } of batch) reject(error);
      },
    );
  }
}
