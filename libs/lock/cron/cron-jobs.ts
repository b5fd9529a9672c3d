import { inspect } from 'node:util';
import { Inject, Injectable } from '@nestjs/common';
import { DiscoveryService } from '@nestjs/core';
import { REDIS_CONNECTIONS, type Clock, type RedisConnections } from '../../redis/index.js';
import { SluiceError, isInventedName, type Class, type WovenCall, type WovenSite } from '../../weave/index.js';
import { scheduledInstant, type CronTime } from './cron-instants.js';
import type { Tick } from '../store/lock.store.js';

/** The key of the metadata that `@Cron` sets on its method: the options of `@Cron`, with the expression as `cronTime`. */
export const CRON_METADATA = 'SCHEDULE_CRON_OPTIONS';

/** The token of the options of @nestjs/schedule's module. An app with this provider uses the scheduler. */
const SCHEDULE_OPTIONS = 'SCHEDULE_MODULE_OPTIONS';

/**
 * A call belongs to a job that fired less than this many milliseconds ago. The scheduler's timer and its call are in one turn of
 * the event loop, unless a decorator waits in between.
 */
const JUST_NOW_MS = 1_000;
/** The same where only one job can be meant: a decorator between the scheduler and the lock may wait this long. */
const JUST_NOW_OF_ONE_MS = 60_000;

/** One tick of a `@Cron` method. */
export interface CronTick extends Tick {
  /** The time from this instant to the next one, in milliseconds; Infinity if there is no next one. */
  readonly periodMs: number;
}

export interface CronMetadata {
  readonly name?: string;
  readonly cronTime: unknown;
  readonly timeZone?: string;
  readonly utcOffset?: number;
}

interface KnownMethod {
  readonly identity: string;
  readonly targetClass: Class;
  readonly cron: CronMetadata;
}

interface CronJob {
  readonly cronTime: CronTime;
  lastDate(): Date | null;
}

/**
 * Finds out for which scheduled instant a `@Cron` method is being called.
 *
 * The schedule is read from the app's running jobs, which are found through Nest's own discovery. No import of @nestjs/schedule
 * has to be resolved. So this works with every version and copy of that package, in both module formats and in any layout of
 * `node_modules`. If the time of a job was changed while the app runs, the new time is read.
 */
@Injectable()
export class CronJobs {
  readonly #discovery: DiscoveryService;
  readonly #clock: Clock;
  readonly #logger: RedisConnections['logger'];
  /** For each job: when the job fired for the last call that has arrived, in Unix milliseconds. */
  readonly #called = new WeakMap<CronJob, number>();
  /** The jobs whose calls arrived in this turn of the event loop. */
  readonly #calledNow = new Set<CronJob>();
  #registry: Registry | undefined;
  /** The methods that take a lock at their ticks, by the lock's name. */
  readonly #known = new Map<string, KnownMethod[]>();

  constructor(
    @Inject(DiscoveryService) discovery: DiscoveryService,
    @Inject(REDIS_CONNECTIONS) connections: RedisConnections,
  ) {
    this.#discovery = discovery;
    this.#clock = connections.clock;
    this.#logger = connections.logger;
  }

  /**
   * The scheduled instant of this call. `'by hand'`: the scheduler did not make the call. The `lastDate` of the job shows this,
   * because each `lastDate` stands for one call, or for several calls in one turn: a `cron` whose next instant passed before it
   * set its timer calls at once, a second time. `'missed'`: the scheduler made the call, but more than 25 hours late. Then no process
   * knows any more whether that run was done.
   *
   * @throws SluiceError `SLUICE_CRON_UNKNOWN` if the answer cannot be determined: a guess could run the method twice
   */
  tickOf(call: WovenCall): CronTick | 'by hand' | 'missed' {
    const method = identityOf(call.className, call.method, call.metadata(CRON_METADATA) as CronMetadata);
    const nowMs = this.#clock.wallMs();
    const job = this.#firedJob(call.metadata(CRON_METADATA) as CronMetadata, method, nowMs);
    if (job === undefined) return 'by hand';
    this.#arrived(job);
    const instant = scheduledInstant(job.cronTime, nowMs);
    return instant === undefined ? this.#missed(method) : { method, ...instant };
  }

  /**
   * Checks a `@Cron` method at boot, so that a problem is seen there and not at the first tick.
   *
   * @param lock the lock's name, if the decorator has the name as a string
   * @throws SluiceError `SLUICE_CRON_UNKNOWN`; `SLUICE_BAD_OPTION` if two classes would share their ticks
   */
  check({ targetClass, className, method }: WovenSite, cron: CronMetadata, lock: string | undefined): void {
    this.#jobs(`${className}.${method}`);
    if (lock === undefined) return;
    const identity = identityOf(className, method, cron);
    const known = this.#known.get(lock) ?? [];
    const other = known.find((each) => each.identity === identity);
    if (other?.targetClass === targetClass) return;
    if (other !== undefined) {
      throw new SluiceError(
        'SLUICE_BAD_OPTION',
        `two classes have a method '${identity}' with @Cron and @WithLock('${lock}'), and only one of them would run per tick. ` +
          "Give each its own lock, or a class name (not one of a minifier or a mixin) or job name of its own: @Cron(time, { name: '…' })",
      );
    }
    const rival = known.find((each) => runsWith(each.cron, cron));
    if (rival !== undefined) {
      this.#logger.warn(
        `${identity} and ${rival.identity} share lock '${lock}' and run at the same instants (${inspect(cron.cronTime)}): ` +
          'at each of them one runs, and the other one skips its tick. Give each a lock of its own. Where both inherit the ' +
          'method, a function can do that: @WithLock(function () { return `sync:${this.constructor.name}`; })',
      );
    }
    this.#known.set(lock, [...known, { identity, targetClass, cron }]);
  }

  #arrived(job: CronJob): void {
    this.#called.set(job, firedAtMs(job));
    if (this.#calledNow.size === 0)
      void Promise.resolve().then(() => {
        this.#calledNow.clear();
      });
    this.#calledNow.add(job);
  }

  #missed(method: string): 'missed' {
    this.#logger.warn(
      `${method} is skipped: its tick was more than 25 hours ago, and another instance may have run it`,
    );
    return 'missed';
  }

  /** The method's job, if it has just fired and its call has not arrived yet. */
  #firedJob(cron: CronMetadata, method: string, nowMs: number): CronJob | undefined {
    const jobs = this.#jobs(method);
    const all = [...jobs.values()];
    const named = cron.name === undefined ? undefined : jobs.get(cron.name);
    const own = cron.name === undefined ? all.filter((job) => isOf(job.cronTime, cron)) : named ? [named] : [];
    const withinMs = own.length === 1 ? JUST_NOW_OF_ONE_MS : JUST_NOW_MS;
    const fired = (job: CronJob, ms: number): boolean =>
      Math.abs(nowMs - firedAtMs(job)) < ms && this.#called.get(job) !== firedAtMs(job);
    const calledNow = (job: CronJob): boolean => this.#calledNow.has(job);
    // If the decorator gives no name, a job whose time was changed is not found again. Such a job has a generated name.
    const nameless = [...jobs].filter(([name]) => GENERATED_NAME.test(name));
    if (own.length === 0 && cron.name === undefined && nameless.some(([, job]) => fired(job, JUST_NOW_MS))) {
      throw unknown(
        method,
        `no job runs at ${inspect(cron.cronTime)}, but one of another time just fired, and it may be this method's, ` +
          "changed by setTime(). Give it a name, so that it can be found: @Cron(time, { name: '…' })",
      );
    }
    return own.find((job) => fired(job, withinMs)) ?? own.find(calledNow);
  }

  #jobs(method: string): Map<string, CronJob> {
    this.#registry ??= this.#findRegistry(method);
    return this.#registry?.getCronJobs() ?? new Map<string, CronJob>();
  }

  /**
   * Finds the scheduler's registry by its class or its token. No other provider is touched: some providers throw for an unknown
   * property (the proxies of nestjs-cls), and others have every property (mocks).
   */
  #findRegistry(method: string): Registry | undefined {
    const providers = this.#discovery.getProviders();
    const found = providers.find(isRegistry);
    if (found === undefined) {
      if (!providers.some(({ token }) => token === SCHEDULE_OPTIONS)) return undefined;
      throw unknown(method, 'this version of @nestjs/schedule keeps its jobs where they are not found');
    }
    const registry = found.instance as Registry;
    if (registry.getCronJobs() instanceof Map) return registry;
    throw unknown(method, 'what this app provides as SchedulerRegistry has no jobs (a mock?)');
  }
}

/** The form of the name that @nestjs/schedule generates for a job whose decorator gives no name. */
const GENERATED_NAME = /^[\da-f]{8}(?:-[\da-f]{4}){3}-[\da-f]{12}$/;

/** Whether two methods run at the same instants. */
function runsWith(one: CronMetadata, other: CronMetadata): boolean {
  return (
    String(one.cronTime) === String(other.cronTime) &&
    one.timeZone === other.timeZone &&
    one.utcOffset === other.utcOffset
  );
}

/** When the job last fired, on this machine's clock. -Infinity: it never fired. */
function firedAtMs(job: CronJob): number {
  return job.lastDate()?.getTime() ?? -Infinity;
}

type ProviderWrapper = ReturnType<DiscoveryService['getProviders']>[number];

interface Registry {
  getCronJobs(): Map<string, CronJob>;
}

/** True for a class with the methods of SchedulerRegistry (a minifier may have renamed it), or for a provider under its name. */
function isRegistry({ isNotMetatype, isAlias, metatype, name }: ProviderWrapper): boolean {
  if (isAlias) return false;
  if (isNotMetatype || typeof metatype !== 'function') return name === 'SchedulerRegistry';
  const methods = (metatype.prototype ?? {}) as Record<string, unknown>;
  return ['getCronJobs', 'addCronJob', 'doesExist'].every((each) => typeof methods[each] === 'function');
}

/** The name of a method in Redis, the same in every process and build. An invented class name is no part of that name. */
function identityOf(className: string, method: string, { name }: CronMetadata): string {
  if (!isInventedName(className)) return `${className}.${method}`;
  return name === undefined ? `.${method}` : `#${name}`;
}

/** Whether a job still has the schedule of the decorator. */
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
    `${method} did not run, because the tick that it was called for is unknown: ${why}`,
  );
}
