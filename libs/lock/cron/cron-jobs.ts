import { inspect } from 'node:util';
import { Inject, Injectable } from '@nestjs/common';
import { DiscoveryService } from '@nestjs/core';
import { REDIS_CONNECTIONS, type Clock, type RedisConnections } from '../../redis/index.js';
import { SluiceError, type WovenCall } from '../../weave/index.js';
import { scheduledInstant, type CronTime } from './cron-instants.js';
import type { Tick } from '../store/lock.store.js';

/** What `@Cron` writes on its method: its options, with the expression as `cronTime`. */
export const CRON_METADATA = 'SCHEDULE_CRON_OPTIONS';

/** The token of the options of @nestjs/schedule's module: an app that has it schedules. */
const SCHEDULE_OPTIONS = 'SCHEDULE_MODULE_OPTIONS';

/** The scheduler's timer and the call that it makes are one turn of the event loop. */
const JUST_NOW_MS = 1_000;

interface CronMetadata {
  readonly name?: string;
  readonly cronTime: unknown;
  readonly timeZone?: string;
  readonly utcOffset?: number;
}

interface CronJob {
  readonly cronTime: CronTime;
  lastDate(): Date | null;
}

/**
 * Finds out for which scheduled instant a `@Cron` method is being called.
 *
 * The schedule is read from the app's running jobs, found by their shape through Nest's own discovery: no import to
 * resolve, so it works for every version and copy of @nestjs/schedule, in both module formats and any layout of
 * `node_modules`, and a job whose time was changed while it runs is read as it is now.
 */
@Injectable()
export class CronJobs {
  readonly #discovery: DiscoveryService;
  readonly #clock: Clock;
  readonly #logger: RedisConnections['logger'];
  #registry: { getCronJobs(): Map<string, CronJob> } | undefined;

  constructor(
    @Inject(DiscoveryService) discovery: DiscoveryService,
    @Inject(REDIS_CONNECTIONS) connections: RedisConnections,
  ) {
    this.#discovery = discovery;
    this.#clock = connections.clock;
    this.#logger = connections.logger;
  }

  /**
   * The instant; or `'by hand'`: it was not the scheduler that made this call; or `'missed'`: it was, but more than a day
   * late, when nobody knows any more whether that run was done.
   *
   * @throws SluiceError `SLUICE_CRON_UNKNOWN` when that cannot be told: running twice must not be the guess
   */
  tickOf(call: WovenCall): Tick | 'by hand' | 'missed' {
    const method = `${call.className}.${call.method}`;
    const nowMs = this.#clock.wallMs();
    const fired = (job: CronJob): boolean => Math.abs(nowMs - (job.lastDate()?.getTime() ?? -Infinity)) < JUST_NOW_MS;
    const job = this.#jobOf(call.metadata(CRON_METADATA) as CronMetadata, method, fired);
    if (job === undefined) return 'by hand';
    const instant = scheduledInstant(job.cronTime, nowMs, fired(job));
    if (instant === undefined) return fired(job) ? this.#missed(method) : 'by hand';
    return { method, ...instant };
  }

  #missed(method: string): 'missed' {
    this.#logger.warn(
      `${method} is skipped: its tick was more than a day ago, and may have been done by another instance`,
    );
    return 'missed';
  }

  #jobOf(cron: CronMetadata, method: string, fired: (job: CronJob) => boolean): CronJob | undefined {
    const jobs = this.#jobs(method);
    if (cron.name !== undefined) return jobs.get(cron.name);
    const alike = [...jobs.values()].filter((job) => isOf(job.cronTime, cron));
    const job = alike.find(fired) ?? alike[0];
    // Without a name, a job whose time was changed is not found again; one that was deleted calls nobody.
    if (job === undefined && [...jobs.values()].some(fired)) {
      throw unknown(
        method,
        `no job runs at ${inspect(cron.cronTime)}, but one of another time just fired, and it may be this method's, ` +
          "changed by setTime(). Give it a name, so that it can be found: @Cron(time, { name: '…' })",
      );
    }
    return job;
  }

  #jobs(method: string): Map<string, CronJob> {
    this.#registry ??= this.#findRegistry(method);
    return this.#registry?.getCronJobs() ?? new Map<string, CronJob>();
  }

  #findRegistry(method: string): { getCronJobs(): Map<string, CronJob> } | undefined {
    const providers = this.#discovery.getProviders();
    for (const { instance } of providers as { instance: unknown }[]) {
      if (isRegistry(instance)) return instance;
    }
    if (!providers.some(({ token }) => token === SCHEDULE_OPTIONS)) return undefined;
    throw unknown(method, 'this version of @nestjs/schedule keeps its jobs where they are not found');
  }
}

function isRegistry(candidate: unknown): candidate is { getCronJobs(): Map<string, CronJob> } {
  if (typeof candidate !== 'object' || candidate === null) return false;
  const methods = candidate as Record<string, unknown>;
  return ['getCronJobs', 'addCronJob', 'doesExist'].every((name) => typeof methods[name] === 'function');
}

/** Whether a job runs at what the decorator says. */
function isOf(time: CronTime, cron: CronMetadata): boolean {
  const { cronTime } = cron;
  if (typeof time.source === 'string') {
    if (time.source !== cronTime) return false;
  } else if (typeof cronTime !== 'object' || cronTime === null || time.source.toMillis() !== Number(cronTime)) {
    return false;
  }
  if (cron.utcOffset !== undefined) return time.utcOffset === cron.utcOffset;
  return cron.timeZone === undefined || time.timeZone === cron.timeZone;
}

function unknown(method: string, why: string): SluiceError {
  return new SluiceError(
    'SLUICE_CRON_UNKNOWN',
    `${method} did not run: it cannot be told for which tick it was called: ${why}`,
  );
}
