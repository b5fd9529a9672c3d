import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { playScenario, type Outcome } from '../scenario/scenario.js';
import type { Stage } from '../scenario/step.js';
import { Fleet } from './fleet.js';
import { Gateway } from './gateway.js';
import { narrate } from './narrate.js';
import type { RedisChoice } from './options.js';
import { openRedis, type DemoRedis } from './redis.js';
import type { Report } from './report.js';
import { Source } from './source.js';
import { until } from './until.js';

const APPS = ['app-1', 'app-2', 'app-3'];

export interface DemoOutcome extends Outcome {
  redis: { label: string; host: string; representative: boolean };
  processes: { name: string; url: string; pid: number }[];
}

/** Redis, the services outside, and the processes of the app: opened in this order and closed in the reverse. */
export class Demo {
  readonly #choice: RedisChoice;
  readonly #report: Report;
  readonly #interrupted: AbortSignal;
  readonly #namespace = `sluice-demo-${randomBytes(6).toString('hex')}`;
  readonly #source = new Source();
  readonly #gateway = new Gateway();
  #redis: DemoRedis | undefined;
  #fleet: Fleet | undefined;

  constructor(choice: RedisChoice, report: Report, interrupted: AbortSignal) {
    this.#choice = choice;
    this.#report = report;
    this.#interrupted = interrupted;
  }

  async open(): Promise<void> {
    const redis = (this.#redis = await openRedis(this.#choice, this.#namespace));
    await this.#source.open();
    await this.#gateway.open();
    const fleet = (this.#fleet = new Fleet(APPS, {
      REDIS_URL: redis.url,
      NAMESPACE: this.#namespace,
      SOURCE_URL: this.#source.url,
      GATEWAY_URL: this.#gateway.url,
    }));
    fleet.onChange = (what) => {
      this.#report.line(`   ${what}`);
    };
    this.#interrupted.throwIfAborted();
    this.#interrupted.addEventListener('abort', () => void fleet.stop());
    await fleet.start();

    this.#report.heading(`Sluice: ${APPS.length} processes of a NestJS app share ${redis.label}`);
    this.#report.table(fleet.apps.map(({ name, url, pid }) => [name, `${url}   pid ${pid}`]));
  }

  async play(): Promise<DemoOutcome> {
    const redis = opened(this.#redis);
    const fleet = opened(this.#fleet);
    const stage: Stage = {
      namespace: this.#namespace,
      redis,
      source: this.#source,
      gateway: this.#gateway,
      fleet,
      interrupted: this.#interrupted,
      until: (condition, deadlineMs) => until(condition, deadlineMs, this.#interrupted),
    };
    const outcome = await playScenario(stage, this.#report);
    return {
      redis: { label: redis.label, host: new URL(redis.url).host, representative: redis.representative },
      processes: fleet.apps.map(({ name, url, pid }) => ({ name, url, pid })),
      ...outcome,
    };
  }

  /** Tells what goes on, until it is interrupted. */
  async stayUp(): Promise<void> {
    narrate(this.#report, opened(this.#fleet), this.#source, this.#gateway);
    if (!this.#interrupted.aborted) await once(this.#interrupted, 'abort');
  }

  async close(): Promise<void> {
    await this.#fleet?.stop();
    await this.#gateway.close();
    await this.#source.close();
    await this.#redis?.close();
  }
}

function opened<T>(part: T | undefined): T {
  if (part === undefined) throw new Error('the demo is not open');
  return part;
}
