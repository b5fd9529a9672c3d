/** What users reported of decorators of other packages (the report is named in each title), tried with those of this one. */
import { afterEach, describe, expect, it } from '@jest/globals';
import { Injectable, Scope, type ModuleMetadata } from '@nestjs/common';
import { ContextIdFactory } from '@nestjs/core';
import { Test, type TestingModule, type TestingModuleBuilder } from '@nestjs/testing';
import { QueueService, TaskHandler, WithLock, currentLock, type Task } from '../sluice/index.js';
import { SluiceTestingModule, TestingQueue } from './index.js';

let app: TestingModule;
afterEach(() => app.close());

async function boot(
  providers: NonNullable<ModuleMetadata['providers']>,
  change = (builder: TestingModuleBuilder): TestingModuleBuilder => builder,
): Promise<void> {
  const builder = Test.createTestingModule({ imports: [SluiceTestingModule.forRoot()], providers });
  app = await change(builder).compile();
  await app.init();
}

/** Runs the one task of a queue. */
async function runTask(queue: string): Promise<{ completed: number }> {
  await app.get(QueueService).publish(queue, 1);
  return app.get(TestingQueue).drain();
}

class Api {
  readonly seen: unknown[] = [];
  constructor(readonly base: string) {}

  @WithLock('api')
  async call(): Promise<unknown[]> {
    return Promise.resolve([this.base, currentLock()?.name]);
  }

  @TaskHandler('api')
  async task({ payload }: Task): Promise<void> {
    this.seen.push(payload);
    return Promise.resolve();
  }
}

describe('decorators', () => {
  it('work on what an async factory makes (miinhho/nestjs-saop#31, nestjs/nest#17667)', async () => {
    await boot([{ provide: Api, useFactory: () => Promise.resolve(new Api('url')) }]);
    await expect(runTask('api')).resolves.toMatchObject({ completed: 1 });
    expect(app.get(Api).seen).toEqual([1]);
    await expect(app.get(Api).call()).resolves.toEqual(['url', 'api']);
  });

  it('work on each object of a request-scoped class (mikro-orm/nestjs#239)', async () => {
    @Injectable({ scope: Scope.REQUEST })
    class PerRequest {
      @WithLock('request')
      async run(): Promise<unknown[]> {
        return Promise.resolve([this, currentLock()?.name]);
      }
    }
    await boot([PerRequest]);
    for (const id of [ContextIdFactory.create(), ContextIdFactory.create()]) {
      const object = await app.resolve(PerRequest, id);
      await expect(object.run()).resolves.toEqual([object, 'request']);
    }
  });

  it('outlive a class decorator that replaces every method (Papooch/decorate-all#2)', async () => {
    const calls: string[] = [];
    const traced: ClassDecorator = ({ prototype }) => {
      const object = prototype as object;
      for (const key of Object.getOwnPropertyNames(object).filter((name) => name !== 'constructor')) {
        const descriptor = Object.getOwnPropertyDescriptor(object, key) as TypedPropertyDescriptor<() => unknown>;
        const { value } = descriptor;
        const replaced = function (this: unknown, ...args: []): unknown {
          calls.push(key);
          return value?.apply(this, args);
        };
        Object.defineProperty(object, key, { ...descriptor, value: replaced });
      }
    };
    @traced
    @Injectable()
    class Traced {
      @WithLock('traced')
      async run(): Promise<string | undefined> {
        return Promise.resolve(currentLock()?.name);
      }

      @TaskHandler('traced')
      async task(): Promise<void> {
        return Promise.resolve();
      }
    }
    await boot([Traced]);
    await expect(runTask('traced')).resolves.toMatchObject({ completed: 1 });
    await expect(app.get(Traced).run()).resolves.toBe('traced');
    expect(calls).toEqual(['task', 'run']);
  });

  it('work on a transient class that a test overrides by a factory (nestjs/nest#4800)', async () => {
    @Injectable({ scope: Scope.TRANSIENT })
    class Part {
      @WithLock('part')
      async run(): Promise<string | undefined> {
        return Promise.resolve(currentLock()?.name);
      }
    }
    class Fake extends Part {
      override async run(): Promise<string> {
        return `fake ${String(await super.run())}`;
      }
    }
    @Injectable()
    class Whole {
      constructor(readonly part: Part) {}
    }
    await boot([Part, Whole], (builder) => builder.overrideProvider(Part).useFactory({ factory: () => new Fake() }));
    await expect(app.get(Whole).part.run()).resolves.toBe('fake part');
  });
});
