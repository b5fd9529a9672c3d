import { afterAll, afterEach, beforeAll, expect } from '@jest/globals';
import { ConsoleLogger, Injectable, Module, type INestApplicationContext, type Type } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import {
  TaskHandler,
  TaskSchedule,
  defineQueue,
  payload,
  type BatchHandlerOptions,
  type HandlerOptions,
  type QueueDefinition,
  type QueueOfTasks,
  type QueueService,
  type ScheduleSpec,
  type SluiceQueueModuleOptions,
  type Task,
} from 'nestjs-sluice/queue';
import { SluiceTestingModule, TestingClock, TestingQueue, startRedis, type RedisServer } from 'nestjs-sluice/testing';
import { Redis } from 'ioredis';
import { gate } from '../../support/gate.js';
import { startQueueApp } from '../../support/queue-app.js';
import { until } from '../../support/until.js';

/** Longer than any test. */
export const LONG_MS = 3_600_000;
/** Named tasks, with their stream names: `{files}.a` and `{files}.b`. */
export const Files = defineQueue('files', { tasks: { a: payload<unknown>(), b: payload<unknown>() } });
export const { a: A, b: B } = Files.tasks;
/** In the slot of `tasks`. */
export const AFTER = '{tasks}.after';
/** In the slot of `files`. */
export const AFTER_FILES = '{files}.after';

type Queue = string | QueueDefinition<unknown> | QueueOfTasks;
/** What a handler does; the task or the batch has been noted before. */
export type Run = (given: Task<never>) => unknown;
export type Handled = (HandlerOptions | BatchHandlerOptions) & {
  run?: Run;
  schedule?: readonly [id: string, spec: ScheduleSpec, payload: unknown];
};

/** A handler that always fails. */
export const fail: Run = () => {
  throw new Error('no');
};

/** The apps of one combination, on a server that all share. Made at the top of a spec: brings its hooks along. */
export class CombinationKit {
  /** The payloads of the runs, in order; of a batch, the list of them. */
  readonly ran: unknown[] = [];
  /** The tasks of the runs, in order. */
  readonly tasks: Task<never>[] = [];
  #servers = new Map<boolean, { server: RedisServer; admin: Redis }>();
  #apps: INestApplicationContext[] = [];
  #declared: { queue: Queue; handled: Handled }[] = [];
  #gate = gate();
  #isFixed = false;

  constructor() {
    beforeAll(async () => {
      await this.#server(false);
    });
    afterEach(async () => {
      this.open();
      await Promise.all(this.#apps.splice(0).map((app) => app.close()));
      await Promise.all([...this.#servers.values()].map(({ admin }) => admin.flushall()));
      this.forget();
    });
    afterAll(async () => {
      for (const { server, admin } of this.#servers.values()) {
        admin.disconnect();
        await server.stop();
      }
    });
  }

  /** Declares a handler of the apps that start next. By default it notes the task and returns its payload. */
  on(queue: Queue, handled: Handled = {}): this {
    this.#declared.push({ queue, handled });
    return this;
  }

  /** Forgets the handlers and what has run; what {@link hold} holds may end. */
  forget(): void {
    this.#declared = [];
    this.ran.length = 0;
    this.tasks.length = 0;
    this.#isFixed = false;
    this.open();
    this.#gate = gate();
  }

  /** Another app with the declared handlers; `onSlots`: on a server in cluster mode. */
  async start(queue: SluiceQueueModuleOptions = {}, { onSlots = false } = {}): Promise<QueueService> {
    const { server } = await this.#server(onSlots);
    const started = await startQueueApp({ url: server.url, imports: [this.#module()], queue });
    this.#apps.push(started.app);
    return started.queue;
  }

  /** An app without Redis. */
  async testing(queue: SluiceQueueModuleOptions = {}): Promise<{ queue: TestingQueue; clock: TestingClock }> {
    const imports = [this.#module(), SluiceTestingModule.forRoot({ queue: { backoff: 0, ...queue } })];
    const app = await Test.createTestingModule({ imports })
      .setLogger(new ConsoleLogger({ logLevels: [] }))
      .compile();
    this.#apps.push(app);
    await app.init();
    return { queue: app.get(TestingQueue), clock: app.get(TestingClock) };
  }

  /** A run that lasts until {@link open}, or until its signal aborts: then it throws. */
  readonly hold: Run = async (task) => {
    const { signal } = Array.isArray(task) ? (task as Task<never>[])[0]! : task;
    await new Promise<void>((resolve, reject) => {
      void this.#gate.opened.then(resolve);
      signal.addEventListener('abort', () => {
        reject(signal.reason as Error);
      });
    });
  };

  /** A run that fails until {@link fix}. */
  readonly failing: Run = () => {
    if (!this.#isFixed) throw new Error('not yet');
  };

  fix(): void {
    this.#isFixed = true;
  }

  /** Lets all runs end that {@link hold}, now and later. */
  open(): void {
    this.#gate.open();
  }

  /** Waits until as many tasks or batches have run, and compares them, in whatever order. */
  async untilRan(...payloads: unknown[]): Promise<void> {
    await until(() => this.ran.length >= payloads.length, { what: `${payloads.length} have run` });
    const sorted = (list: unknown[]): string[] => list.map((each) => JSON.stringify(each)).sort();
    expect(sorted(this.ran)).toEqual(sorted(payloads));
  }

  /** The text in a key of the server that all share, or of the one in cluster mode. */
  async value(key: string, { onSlots = false } = {}): Promise<string | null> {
    return (await this.#server(onSlots)).admin.get(key);
  }

  /** The payloads that a queue's handlers got, once there are so many. */
  async ranOn(queue: string, count: number): Promise<unknown[]> {
    const payloads = (): unknown[] => this.tasks.filter(({ stream }) => stream === queue).map((task) => task.payload);
    await until(() => payloads().length >= count, { what: `${count} have run on ${queue}` });
    return payloads();
  }

  /** Waits until the counts of the queue have these members. */
  async untilCounts(queue: QueueService, expected: object, of: string | QueueOfTasks = 'tasks'): Promise<void> {
    const counts = (): Promise<object> => queue.counts(of as string);
    const matches = (actual: object): boolean =>
      Object.entries(expected).every(([name, value]) => actual[name as never] === value);
    await until(async () => matches(await counts()), { what: `the counts are ${JSON.stringify(expected)}` });
  }

  /** Waits until nothing is left of the queue but dead letters. */
  untilDone(queue: QueueService, of: string | QueueOfTasks = 'tasks'): Promise<void> {
    return this.untilCounts(queue, { waiting: 0, running: 0, delayed: 0 }, of);
  }

  async #server(slotChecks: boolean): Promise<{ server: RedisServer; admin: Redis }> {
    const known = this.#servers.get(slotChecks);
    if (known) return known;
    const server = await startRedis(slotChecks ? { slotChecks } : {});
    const made = { server, admin: new Redis(server.url, { protocol: 2 }) };
    this.#servers.set(slotChecks, made);
    return made;
  }

  #module(): Type {
    const { ran, tasks } = this;
    class Handlers {
      readonly tasks = tasks;
    }
    for (const [i, { queue, handled }] of this.#declared.entries()) {
      const { run, schedule, ...options } = handled;
      const value = async (given: Task<never> | readonly Task<never>[]): Promise<unknown> => {
        const members = Array.isArray(given) ? (given as Task<never>[]) : undefined;
        ran.push(members ? members.map((each) => each.payload) : (given as Task<never>).payload);
        tasks.push(...(members ?? [given as Task<never>]));
        const result = await run?.(given as Task<never>);
        return members ? undefined : (result ?? (given as Task<never>).payload);
      };
      const descriptor = { value, configurable: true, writable: true };
      TaskHandler(queue as string, options)(Handlers.prototype, `on${i}`, descriptor as never);
      if (schedule) {
        const [id, spec, payload] = schedule;
        TaskSchedule(id, spec, { payload: payload as never })(Handlers.prototype, `on${i}`, descriptor as never);
      }
      Object.defineProperty(Handlers.prototype, `on${i}`, descriptor);
    }
    Injectable()(Handlers);
    @Module({ providers: [Handlers] })
    class Declared {}
    return Declared;
  }
}
