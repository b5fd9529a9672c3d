import { Module, type INestApplicationContext, type LoggerService, type Type } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { REDIS_CONNECTIONS, SluiceRedisModule, type RedisConnections } from 'nestjs-sluice/redis';
import {
  QueueService,
  SluiceQueueModule,
  TaskHandler,
  TaskSchedule,
  type HandlerOptions,
  type QueueDefinition,
  type ScheduleSpec,
  type SluiceQueueModuleOptions,
  type Task,
  type TaskScheduleOptions,
} from 'nestjs-sluice/queue';

/** A handler by itself, or with the options of its decorator. */
export type TestHandler =
  | ((task: Task<never>) => unknown)
  | {
      run: (task: Task<never>) => unknown;
      options?: HandlerOptions;
      schedules?: readonly TestSchedule[];
      /** Instead of the bare name. */
      definition?: QueueDefinition<never, unknown>;
    };

/** The arguments of a `@TaskSchedule`. */
export type TestSchedule = [id: string, spec: ScheduleSpec, options?: TaskScheduleOptions<never>];

export interface QueueAppOptions {
  url: string;
  /** By queue. */
  handlers?: Record<string, TestHandler>;
  /** Further modules, imported before the queue's. */
  imports?: Type[];
  queue?: SluiceQueueModuleOptions;
  namespace?: string;
  /** Gets what is logged; without it nothing is shown. */
  logged?: (level: string, message: string) => void;
}

export interface QueueApp {
  app: INestApplicationContext;
  queue: QueueService;
  connections: RedisConnections;
}

/** A Nest app with queues, and a provider that handles them. */
export async function startQueueApp(options: QueueAppOptions): Promise<QueueApp> {
  const { url, handlers = {}, imports = [], queue, namespace, logged = () => {} } = options;
  @Module({
    imports: [
      ...imports,
      SluiceRedisModule.forRoot({ redis: { url }, ...(namespace === undefined ? {} : { namespace }) }),
      // Failing tasks are the subject of many specs; how long they rest, of few.
      SluiceQueueModule.forRoot({ backoff: 0, ...queue }),
    ],
    providers: [handlerProvider(handlers)],
  })
  class App {}
  const app = await Test.createTestingModule({ imports: [App] })
    .setLogger(teller(logged))
    .compile();
  try {
    await app.init();
  } catch (error) {
    await app.close();
    throw error;
  }
  return { app, queue: app.get(QueueService), connections: app.get<RedisConnections>(REDIS_CONNECTIONS) };
}

/** A class with one decorated method per queue. */
export function handlerProvider(handlers: Record<string, TestHandler>): Type {
  class Handlers {
    readonly queues = Object.keys(handlers);
  }
  for (const [queue, handler] of Object.entries(handlers)) {
    const { run, options, schedules = [], definition } = typeof handler === 'function' ? { run: handler } : handler;
    const descriptor = { value: run, configurable: true, writable: true };
    (TaskHandler as (queue: unknown, options: unknown) => MethodDecorator)(definition ?? queue, options)(
      Handlers.prototype,
      queue,
      descriptor,
    );
    for (const schedule of schedules) TaskSchedule(...schedule)(Handlers.prototype, queue, descriptor);
    Object.defineProperty(Handlers.prototype, queue, descriptor);
  }
  return Handlers;
}

function teller(logged: (level: string, message: string) => void): LoggerService {
  const level =
    (name: string) =>
    (message: unknown): void => {
      logged(name, String(message));
    };
  return { log: level('log'), error: level('error'), warn: level('warn'), debug: level('debug') };
}
