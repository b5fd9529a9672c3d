import type { Redis } from 'ioredis';

/** What Redis says of one queue, seen from outside. */
export class Books {
  readonly #redis: Redis;
  readonly #stream: string;
  readonly #group: string;

  constructor(redis: Redis, stream: string, group = 'sluice') {
    this.#redis = redis;
    this.#stream = stream;
    this.#group = group;
  }

  /** How many tasks are pending with someone; none while there is no group. */
  async pending(): Promise<number> {
    return this.#redis.xpending(this.#stream, this.#group).then(
      ([count]) => count as number,
      () => 0,
    );
  }

  /** Nothing waits and nothing is pending. */
  async settled(): Promise<boolean> {
    return (await this.#redis.xlen(this.#stream)) === 0 && (await this.pending()) === 0;
  }

  /** The dead letters, oldest first. */
  async letters(): Promise<Record<string, string>[]> {
    const rows = await this.#redis.xrange(`{${this.#stream}}:~dead`, '-', '+');
    return rows.map(([, fields]) =>
      Object.fromEntries(fields.flatMap((name, i) => (i % 2 === 0 ? [[name, fields[i + 1] ?? '']] : []))),
    );
  }
}
