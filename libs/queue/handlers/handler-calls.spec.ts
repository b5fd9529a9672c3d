import { AsyncLocalStorage } from 'node:async_hooks';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import {
  Catch,
  Inject,
  Injectable,
  Module,
  Scope,
  SetMetadata,
  UseFilters,
  UseGuards,
  UseInterceptors,
  UsePipes,
  type ArgumentMetadata,
  type CallHandler,
  type CanActivate,
  type ExceptionFilter,
  type ExecutionContext,
  type NestInterceptor,
  type PipeTransform,
  type Type,
} from '@nestjs/common';
import { APP_GUARD, ContextIdFactory, REQUEST, Reflector, type ContextId, type HostComponentInfo } from '@nestjs/core';
import { tap, type Observable } from 'rxjs';
import type { QueueApp } from '../../../test/support/queue-app.js';
import { QueueBed } from '../../../test/support/queue-bed.js';
import { Task, TaskHandler, type HandlerOptions } from '../index.js';

const bed = new QueueBed();
let seen: unknown[] = [];
beforeEach(() => {
  seen = [];
});

async function startWith(providers: NonNullable<Parameters<typeof Module>[0]['providers']>): Promise<QueueApp> {
  @Module({ providers })
  class Handlers {}
  return bed.start({ imports: [Handlers] });
}

const Role = (role: string): MethodDecorator => SetMetadata('role', role);

@Injectable()
class Guard implements CanActivate {
  constructor(@Inject(Reflector) readonly reflector: Reflector) {}
  canActivate(context: ExecutionContext): boolean {
    const [task] = context.getArgs<[Task<number>]>();
    const role: unknown = this.reflector.get('role', context.getHandler());
    seen.push(['guard', context.getType(), role, context.getClass().name, task.payload]);
    return task.payload !== 13;
  }
}

@Injectable()
class Interceptor implements NestInterceptor {
  intercept(_context: ExecutionContext, next: CallHandler): Observable<unknown> {
    seen.push('before');
    return next.handle().pipe(tap((result) => seen.push(['after', result])));
  }
}

class Pipe implements PipeTransform {
  transform(value: number, { type, metatype }: ArgumentMetadata): number {
    seen.push(['pipe', value, type, metatype]);
    return value * 10;
  }
}

@Catch(RangeError)
class Filter implements ExceptionFilter<RangeError> {
  async catch(error: RangeError): Promise<void> {
    seen.push(['filtered', error.message]);
  }
}

function shop(options: HandlerOptions, scope = Scope.DEFAULT): Type {
  @Injectable({ scope })
  class Shop {
    @TaskHandler('tasks', { maxAttempts: 1, ...options })
    @Role('worker')
    @UseGuards(Guard)
    @UseInterceptors(Interceptor)
    @UsePipes(Pipe)
    @UseFilters(Filter)
    handle(task: Task<number>): string {
      seen.push(['run', task.payload, task instanceof Task, task.id !== '']);
      if (task.payload === 20) throw new RangeError('too much');
      if (task.payload === 30) throw new TypeError('unexpected');
      return 'result';
    }
  }
  return Shop;
}

describe('guards, interceptors, pipes and filters', () => {
  it.each([
    ['a singleton', Scope.DEFAULT],
    ['a request-scoped provider', Scope.REQUEST],
  ])('run around the handler of %s that asks for them, with the task', async (_what, scope) => {
    const { queue } = await startWith([Guard, shop({ enhancers: true }, scope)]);
    await queue.publish('tasks', 1);
    await bed.untilSettled();
    expect(seen).toEqual([
      ['guard', 'sluice', 'worker', 'Shop', 1],
      'before',
      ['pipe', 1, 'body', undefined],
      ['run', 10, true, true],
      ['after', 'result'],
    ]);
  });

  it('fail the attempt by what they throw; a filter that returns has dealt with it', async () => {
    const { queue } = await startWith([Guard, shop({ enhancers: true })]);
    await queue.publishMany('tasks', [13, 2, 3]);
    await bed.untilSettled();
    expect(seen).toContainEqual(['filtered', 'too much']);
    expect((await queue.dead('tasks').list()).tasks.map(({ payload, error }) => [payload, error])).toEqual([
      [13, 'ForbiddenException: Forbidden resource'],
      [3, 'TypeError: unexpected'],
    ]);
  });

  it('stay away from handlers that do not ask for them, global ones as well', async () => {
    const { queue } = await startWith([{ provide: APP_GUARD, useClass: Guard }, shop({})]);
    await queue.publish('tasks', 1);
    await bed.untilSettled();
    expect(seen).toEqual([['run', 1, true, true]]);
  });
});

describe('a request-scoped handler', () => {
  it('is a new one for each task, which is its REQUEST, as are those it depends on', async () => {
    @Injectable({ scope: Scope.REQUEST })
    class Tenant {
      constructor(@Inject(REQUEST) readonly request: Task<string>) {}
    }
    // Scoped by what it depends on.
    @Injectable()
    class Shop {
      constructor(@Inject(Tenant) readonly tenant: Tenant) {}
      @TaskHandler('tasks')
      handle(task: Task<string>): void {
        seen.push([this.tenant.request === task, this.tenant.request.payload]);
        expect(instances.has(this)).toBe(false);
        instances.add(this);
      }
    }
    const instances = new Set<object>();
    const { queue } = await startWith([Tenant, Shop]);
    await queue.publishMany('tasks', ['a', 'b', 'c']);
    await bed.untilSettled();
    expect(seen.sort()).toEqual(['a', 'b', 'c'].map((payload) => [true, payload]));
    expect(instances.size).toBe(3);
  });

  it('fails the attempt when it cannot be made', async () => {
    @Injectable({ scope: Scope.REQUEST })
    class Shop {
      constructor() {
        throw new Error('no database');
      }
      @TaskHandler('tasks', { maxAttempts: 1 })
      handle(): void {
        seen.push('run');
      }
    }
    const { queue } = await startWith([Shop]);
    await queue.publish('tasks', 1);
    await bed.untilSettled();
    expect((await queue.dead('tasks').list()).tasks).toMatchObject([{ error: 'Error: no database' }]);
  });

  describe('that is durable', () => {
    const parents = new Map<string, ContextId>();
    afterEach(() => {
      // Nest keeps one for the process, and none is the default.
      ContextIdFactory.apply(undefined as never);
      parents.clear();
    });

    it('lives as long as the strategy says, which gets the task', async () => {
      ContextIdFactory.apply({
        attach(contextId: ContextId, task: Task<string>) {
          const parent = parents.get(task.payload) ?? ContextIdFactory.create();
          parents.set(task.payload, parent);
          return {
            resolve: (info: HostComponentInfo) => (info.isTreeDurable ? parent : contextId),
            payload: { tenant: task.payload },
          };
        },
      });
      @Injectable({ scope: Scope.REQUEST, durable: true })
      class Shop {
        runs = 0;
        constructor(@Inject(REQUEST) readonly context: { tenant: string }) {}
        @TaskHandler('tasks', { concurrency: 1 })
        handle(): void {
          seen.push([this.context.tenant, ++this.runs]);
        }
      }
      const { queue } = await startWith([Shop]);
      await queue.publishMany('tasks', ['a', 'b', 'a']);
      await bed.untilSettled();
      expect(seen).toEqual([
        ['a', 1],
        ['b', 1],
        ['a', 2],
      ]);
    });
  });
});

describe('the asynchronous context', () => {
  it("is each task's own", async () => {
    const store = new AsyncLocalStorage<number>();
    const { queue } = await bed.start({
      handlers: {
        tasks: {
          run: async ({ payload }: Task<number>) => {
            seen.push(store.getStore());
            store.enterWith(payload);
            await Promise.resolve();
            expect(store.getStore()).toBe(payload);
          },
          options: { concurrency: 1 },
        },
      },
    });
    await queue.publishMany('tasks', [1, 2, 3]);
    await bed.untilSettled();
    expect(seen).toEqual([undefined, undefined, undefined]);
  });
});
