import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { Controller, Inject, Injectable, Module, Scope, type Type } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { startQueueApp, type QueueApp, type QueueAppOptions } from '../../../test/support/queue-app.js';
import { until } from '../../../test/support/until.js';
import { SluiceRedisModule } from '../../redis/index.js';
import { startRedis, type RedisServer } from '../../testing/index.js';
import { QueueService, SluiceQueueModule, TaskHandler, defineQueue, type Task } from '../index.js';

const Orders = defineQueue<{ id: number }>('orders');

let redis: RedisServer;
let runs: string[] = [];
const apps: QueueApp[] = [];
beforeAll(async () => {
  redis = await startRedis();
});
afterEach(async () => {
  await Promise.all(apps.splice(0).map(({ app }) => app.close()));
  runs = [];
});
afterAll(() => redis.stop());

async function start(options: Omit<QueueAppOptions, 'url'>): Promise<QueueApp> {
  const app = await startQueueApp({ url: redis.url, ...options });
  apps.push(app);
  return app;
}

/** An app with these providers. */
function startWith(providers: object[], options: Omit<QueueAppOptions, 'url'> = {}): Promise<QueueApp> {
  @Module({
    providers: providers.filter((each) => !isController(each)) as Type[],
    controllers: providers.filter(isController),
  })
  class Handlers {}
  return start({ ...options, imports: [Handlers] });
}

const isController = (provider: object): provider is Type => Reflect.hasMetadata('path', provider);

/** Publishes one task to each and waits for what ran. */
async function runsOf({ queue }: QueueApp, ...queues: string[]): Promise<string[]> {
  for (const name of queues) await queue.publish(name, name);
  await until(() => runs.length >= queues.length, { what: `${queues.length} handlers ran` });
  return runs.sort();
}

@Injectable()
class Base {
  readonly name: string = 'base';
  @TaskHandler('inherited')
  async inherited(task: Task<string>): Promise<void> {
    runs.push(`${this.name}.inherited ${task.payload}`);
  }
  @TaskHandler('overridden')
  async overridden(task: Task<string>): Promise<void> {
    runs.push(`${this.name}.overridden ${task.payload}`);
  }
}

@Injectable()
class Sub extends Base {
  override readonly name = 'sub';
  override async overridden(task: Task<string>): Promise<void> {
    runs.push(`sub overrides ${task.payload}`);
  }
}

describe('@TaskHandler is found', () => {
  it('on providers, with their dependencies, and on controllers', async () => {
    @Injectable()
    class Dependency {
      readonly word = 'injected';
    }
    @Injectable()
    class Provider {
      constructor(@Inject(Dependency) readonly dependency: Dependency) {}
      @TaskHandler(Orders)
      handle(task: Task<{ id: number }>): void {
        runs.push(`${this.dependency.word} ${task.payload.id + 1} ${task.stream}`);
      }
    }
    @Controller('things')
    class Things {
      @TaskHandler('things')
      handle(task: Task<string>): void {
        runs.push(`controller ${task.payload}`);
      }
    }
    const app = await startWith([Dependency, Provider, Things]);
    await app.queue.publish(Orders, { id: 1 });
    await app.queue.publish('things', 'x');
    await until(() => runs.length === 2, { what: 'both ran' });
    expect(runs.sort()).toEqual(['controller x', 'injected 2 orders']);
  });

  it('on methods that a class inherits or overrides', async () => {
    const app = await startWith([Sub]);
    expect(await runsOf(app, 'inherited', 'overridden')).toEqual([
      'sub overrides overridden',
      'sub.inherited inherited',
    ]);
  });

  it('on values and what factories make, once, whatever they are provided as', async () => {
    class Made {
      @TaskHandler('made')
      run(task: Task<string>): void {
        runs.push(`made ${task.payload}`);
      }
    }
    const app = await startWith([
      { provide: 'a value', useValue: new Sub() },
      { provide: 'an alias', useExisting: 'a value' },
      {
        provide: 'a factory',
        useFactory: () => new Made(),
      },
    ]);
    expect(await runsOf(app, 'inherited', 'made')).toEqual(['made made', 'sub.inherited inherited']);
  });

  it('below decorators that replace the function', async () => {
    const Replaced = (_target: object, _key: string, descriptor: PropertyDescriptor): void => {
      const original = descriptor.value as (task: Task) => void;
      descriptor.value = function (this: object, task: Task) {
        runs.push('before');
        original.call(this, task);
      };
    };
    @Injectable()
    class Wrapped {
      @Replaced
      @TaskHandler('wrapped')
      run(task: Task<string>): void {
        runs.push(`wrapped ${task.payload}`);
      }
    }
    const app = await startWith([Wrapped]);
    await app.queue.publish('wrapped', 'x');
    await until(() => runs.length === 2, { what: 'it ran' });
    expect(runs).toEqual(['before', 'wrapped x']);
  });
});

describe('@TaskHandler is refused', () => {
  const failing = (providers: object[], code: string, ...words: string[]): Promise<void> =>
    expect(startWith(providers)).rejects.toThrow(
      expect.objectContaining({ code, message: expect.stringMatching(new RegExp(words.join('.*'))) }),
    );

  it('for two handlers of one queue, naming both', async () => {
    await failing([Base, Sub], 'SLUICE_DUPLICATE_HANDLER', "'inherited'", 'Base.inherited', 'Sub.inherited');
  });

  it('for a class that is provided twice, as by two modules', async () => {
    const providers = [Base, { provide: 'again', useClass: Base }];
    await failing(providers, 'SLUICE_DUPLICATE_HANDLER', 'Base.inherited', 'twice', 'two modules', 'export it');
  });

  it('on a transient provider', async () => {
    @Injectable({ scope: Scope.TRANSIENT })
    class Scoped {
      @TaskHandler('scoped')
      run(): number {
        return 1;
      }
    }
    @Injectable()
    class Neighbour {
      constructor(@Inject(Scoped) readonly scoped: Scoped) {}
    }
    await failing([Scoped, Neighbour], 'SLUICE_HANDLER_SCOPE', "'scoped'", 'Scoped.run', 'transient');
  });

  it.each<[string, object, string]>([
    ['concurrency', { concurrency: 0 }, 'concurrency must be a whole number ≥ 1, got 0'],
    ['maxAttempts', { maxAttempts: 1.5 }, 'maxAttempts must be a whole number ≥ 1, got 1.5'],
    ['maxDeliveries', { maxDeliveries: NaN }, 'maxDeliveries must be'],
    ['group', { group: '' }, 'group must be a non-empty string'],
    ['what is no option', { retries: 3 }, 'retries is not an option'],
  ])('with a bad option: %s', async (_what, options, message) => {
    @Injectable()
    class Bad {
      @TaskHandler('bad', options)
      run(): number {
        return 1;
      }
    }
    await failing([Bad], 'SLUICE_BAD_OPTION', "@TaskHandler\\('bad'\\) on Bad.run", message.replace(/[.]/g, '\\.'));
  });

  it('on static methods, accessors and properties, and for names that are none', () => {
    const bad = (code: string): unknown => expect.objectContaining({ code });
    const decorate = TaskHandler('x') as (target: object, key: string, descriptor?: PropertyDescriptor) => void;
    const method = { value: () => {} };
    expect(() => {
      decorate(Base, 'run', method);
    }).toThrow(bad('SLUICE_BAD_DECORATION'));
    expect(() => {
      decorate({}, 'run', { get: () => 1 });
    }).toThrow(bad('SLUICE_BAD_DECORATION'));
    expect(() => {
      decorate({}, 'run');
    }).toThrow(bad('SLUICE_BAD_DECORATION'));
    expect(() => {
      Reflect.apply(decorate, undefined, [() => {}, { kind: 'method', name: 'run' }]);
    }).toThrow(/^@TaskHandler\('x'\): compile with TypeScript's experimentalDecorators/);
    for (const name of ['', '{x', 'a:~b', undefined, null, 7]) {
      expect(() => TaskHandler(name as string)).toThrow(bad('SLUICE_BAD_NAME'));
      expect(() => defineQueue(name as string)).toThrow(bad('SLUICE_BAD_NAME'));
    }
  });
});

describe('the queue options', () => {
  const handlers = { a: () => runs.push('a'), b: () => runs.push('b') };

  it('choose which queues a process works on', async () => {
    const producer = await start({ handlers, queue: { consumers: false } });
    await producer.queue.publish('a', 1);
    await producer.queue.publish('b', 1);
    expect(await clients()).not.toContain('sluice:queue');
    await start({ handlers, queue: { consumers: ['b'] } });
    await until(() => runs.length > 0, { what: 'one ran' });
    await start({ handlers, queue: { consumers: ['a', 'a'] } });
    await until(() => runs.length > 1, { what: 'the other ran' });
    expect(runs).toEqual(['b', 'a']);
  });

  it('refuse a list that names a queue without a handler', async () => {
    await expect(start({ handlers, queue: { consumers: ['c'] } })).rejects.toThrow(
      "queue.consumers names 'c', for which there is no @TaskHandler; queues with one: 'a', 'b'",
    );
  });

  it('are warned of for a queue that nobody handles, but not in a process that only publishes', async () => {
    const warnings: string[] = [];
    const logged = (level: string, message: string): void => {
      if (level === 'warn' && message.startsWith('queue.')) warnings.push(message);
    };
    const misspelt = { a: { concurrency: 1 }, c: { concurrency: 1 }, d: {} };
    await start({ handlers, queue: { handlers: misspelt, consumers: false }, logged });
    expect(warnings).toEqual([]);
    await start({ handlers, queue: { handlers: misspelt, consumers: ['b'] }, logged });
    await start({ queue: { handlers: { c: {} } }, logged });
    expect(warnings).toEqual([
      "queue.handlers has options for 'c', 'd', but no provider has a @TaskHandler for such a queue. Queues with one: 'a', 'b'",
      "queue.handlers has options for 'c', but no provider has a @TaskHandler for such a queue. Queues with one: none",
    ]);
  });

  it('beat each other: by name, by decorator, module-wide, default', async () => {
    const seen: Record<string, number> = {};
    const failing = (task: Task): void => {
      seen[task.stream] = task.attempt;
      throw new Error('as asked');
    };
    await start({
      handlers: {
        named: { run: failing, options: { maxAttempts: 3, concurrency: 1 } },
        decorated: { run: failing, options: { maxAttempts: 2 } },
        wide: failing,
      },
      queue: { maxAttempts: 4, handlers: { named: { maxAttempts: 1 } } },
    });
    const [{ queue, connections }] = apps as [QueueApp];
    for (const name of ['named', 'decorated', 'wide']) await queue.publish(name, 1);
    const link = connections.get().commands;
    const dead = (name: string): Promise<number> => link.send('xlen', [`{${name}}:~dead`]);
    await until(async () => (await Promise.all(['named', 'decorated', 'wide'].map(dead))).every((n) => n === 1), {
      what: 'all are dead letters',
    });
    expect(seen).toEqual({ named: 1, decorated: 2, wide: 4 });
  });

  it('can come from a factory, and stay out of the global scope', async () => {
    @Injectable()
    class Handler {
      @TaskHandler('async')
      run(task: Task<string>): void {
        runs.push(task.payload);
      }
    }
    @Module({
      imports: [
        SluiceRedisModule.forRoot({ redis: { url: redis.url } }),
        SluiceQueueModule.forRootAsync({ useFactory: () => ({ concurrency: 1 }), isGlobal: false }),
      ],
      providers: [Handler],
    })
    class App {}
    const app = await Test.createTestingModule({ imports: [App] }).compile();
    await app.init();
    await app.get(QueueService).publish('async', 'x');
    await until(() => runs.length === 1, { what: 'it ran' });
    await app.close();
  });
});

async function clients(): Promise<string[]> {
  const list = String(await redis.ask((client) => client.client('LIST')));
  return [...list.matchAll(/ name=(\S*)/g)].map(([, name]) => name!);
}
