import { Injectable, type OnModuleDestroy } from '@nestjs/common';
import { Pool, type QueryResultRow } from 'pg';
import { settings } from '../settings.js';

/**
 * The shop's Postgres.
 *
 * Every statement stands alone, and none waits for Redis inside a transaction: a lock that is lost there would keep rows
 * locked for nothing. Closed in `onModuleDestroy`, as database modules do: by then the handlers have been drained.
 */
@Injectable()
export class Database implements OnModuleDestroy {
  /** How often each statement was sent, by its name. */
  readonly counts: Record<string, number> = {};
  readonly #pool = new Pool({ connectionString: settings.databaseUrl, max: 4 });

  constructor() {
    // A connection that breaks while it is idle is replaced by the next query; unheard, it would end the process.
    this.#pool.on('error', () => {});
  }

  /** @param name what it is for, as `/stats` shows it */
  async query<Row extends QueryResultRow>(name: string, text: string, values: unknown[] = []): Promise<Row[]> {
    this.counts[name] = (this.counts[name] ?? 0) + 1;
    const { rows } = await this.#pool.query<Row>(text, values);
    return rows;
  }

  async onModuleDestroy(): Promise<void> {
    await this.#pool.end();
  }
}
