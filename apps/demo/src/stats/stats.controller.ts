import { Controller, Get } from '@nestjs/common';
import { CacheService } from 'nestjs-sluice';
import { Database } from '../database/database.js';
import { settings } from '../settings.js';

/** What this process has done since it started. */
export interface Stats {
  instance: string;
  /** Statements sent to Postgres, by name. */
  queries: Record<string, number>;
  cache: ReturnType<CacheService['stats']>;
}

@Controller('stats')
export class StatsController {
  constructor(
    private readonly cache: CacheService,
    private readonly database: Database,
  ) {}

  @Get()
  stats(): Stats {
    return { instance: settings.instance, queries: this.database.counts, cache: this.cache.stats() };
  }
}
