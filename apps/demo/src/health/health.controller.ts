import { Controller, Get } from '@nestjs/common';
import { HealthCheck, HealthCheckService, HealthIndicatorService, type HealthCheckResult } from '@nestjs/terminus';
import { LockService } from 'nestjs-sluice';
import { Database } from '../database/database.js';

/** Whether this process can do its work: what an orchestrator asks before it sends requests here. */
@Controller('health')
export class HealthController {
  constructor(
    private readonly health: HealthCheckService,
    private readonly indicators: HealthIndicatorService,
    private readonly database: Database,
    private readonly locks: LockService,
  ) {}

  @Get()
  @HealthCheck()
  async check(): Promise<HealthCheckResult> {
    return this.health.check([
      () => this.probe('postgres', this.database.query('health', 'select 1')),
      () => this.probe('redis', this.locks.inspect('daily_job')),
    ]);
  }

  private async probe(name: string, answer: Promise<unknown>) {
    const indicator = this.indicators.check(name);
    return answer.then(
      () => indicator.up(),
      (error: unknown) => indicator.down(String(error)),
    );
  }
}
