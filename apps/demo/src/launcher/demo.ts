import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { playScenario, type Outcome } from '../scenario/scenario.js';
import type { Stage } from '../scenario/step.js';
import { Fleet } from './fleet.js';
import { Gateway } from './gateway.js';
import { MailProvider } from './mail-provider.js';
import { invite } from './invite.js';
import { ControlRoom } from './control-room.js';
import type { LauncherOptions } from './options.js';
import { openPostgres, type DemoPostgres } from './postgres.js';
import { openRedis, type DemoRedis } from './redis.js';
import type { Report } from './report.js';
import { seed } from './seed.js';
import { until } from './until.js';

const APPS = ['app-1', 'app-2', 'app-3'];

export interface DemoOutcome extends Outcome {
  redis: { label: string; host: string; representative: boolean };
  processes: { name: string; url: string; pid: number }[];
}

/** Redis, the services outside, and the processes of the app: opened in this order and closed in the reverse. */
export class Demo {
  readonly #options: LauncherOptions;
  readonly #report: Report;
  readonly #interrupted: AbortSignal;
  readonly #namespace = `sluice-demo-${randomBytes(6).toString('hex')}`;
  readonly #gateway = new Gateway();
  readonly #mailProvider = new MailProvider();
  #redis: DemoRedis | undefined;
  #postgres: DemoPostgres | undefined;
  #controlRoom: ControlRoom | undefined;
  #fleet: Fleet | undefined;

  constructor(options: LauncherOptions, report: Report, interrupted: AbortSignal) {
    this.#options = options;
    this.#report = report;
    this.#interrupted = interrupted;
  }

  async open(): Promise<void> {
    this.#report.line('   Redis and Postgres start …');
    const redis = (this.#redis = await openRedis(this.#options.redis, this.#namespace));
    const postgres = (this.#postgres = await openPostgres(this.#options.databaseUrl, this.#namespace));
    this.#interrupted.throwIfAborted();
    await this.#fill(postgres);
    await Promise.all([this.#gateway.open(), this.#mailProvider.open()]);
    const fleet = (this.#fleet = new Fleet(APPS, {
      REDIS_URL: redis.url,
      NAMESPACE: this.#namespace,
      DATABASE_URL: postgres.url,
      GATEWAY_URL: this.#gateway.url,
      MAIL_URL: this.#mailProvider.url,
    }));
    fleet.onChange = (what) => {
      this.#report.line(`   ${what}`);
    };
    this.#interrupted.throwIfAborted();
    this.#interrupted.addEventListener('abort', () => void fleet.stop());
    this.#report.line(`   ${APPS.length} processes of the app start …`);
    await fleet.start();
    this.#controlRoom = new ControlRoom(this.#stage(), this.#options.port);
    await this.#controlRoom.open();

    this.#report.heading(`Sluice: ${APPS.length} processes of a NestJS app share ${redis.label} and ${postgres.label}`);
    this.#report.table(fleet.apps.map(({ name, url, pid }) => [name, `${url}   pid ${pid}`]));
    this.#report.line(`   live at ${this.#controlRoom.url}`);
  }

  async play(): Promise<DemoOutcome> {
    const stage = this.#stage();
    const { redis, fleet } = stage;
    const outcome = await playScenario(stage, this.#report);
    return {
      redis: { label: redis.label, host: new URL(redis.url).host, representative: redis.representative },
      processes: fleet.apps.map(({ name, url, pid }) => ({ name, url, pid })),
      ...outcome,
    };
  }

  /** Serves until it is interrupted. */
  async stayUp(): Promise<void> {
    invite(this.#report, opened(this.#fleet), opened(this.#controlRoom));
    if (!this.#interrupted.aborted) await once(this.#interrupted, 'abort');
  }

  async close(): Promise<void> {
    await this.#controlRoom?.close();
    await this.#fleet?.stop();
    await Promise.all([this.#gateway.close(), this.#mailProvider.close()]);
    await this.#postgres?.close();
    await this.#redis?.close();
  }

  #stage(): Stage {
    return {
      namespace: this.#namespace,
      redis: opened(this.#redis),
      postgres: opened(this.#postgres),
      gateway: this.#gateway,
      mailProvider: this.#mailProvider,
      fleet: opened(this.#fleet),
      interrupted: this.#interrupted,
      until: (condition) => until(condition, this.#interrupted),
    };
  }

  async #fill({ client }: DemoPostgres): Promise<void> {
    const progress = this.#report.progress('Postgres is filled with a year of sales');
    await seed(client, (done) => {
      this.#interrupted.throwIfAborted();
      progress.at(done);
    });
    progress.done();
  }
}

function opened<T>(part: T | undefined): T {
  if (part === undefined) throw new Error('the demo is not open');
  return part;
}
