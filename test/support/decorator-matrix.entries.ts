import 'reflect-metadata';
import {
  type CallHandler,
  type CanActivate,
  ConflictException,
  Controller,
  type ExecutionContext,
  Get,
  HttpCode,
  Inject,
  Injectable,
  type NestInterceptor,
  Param,
  type PipeTransform,
  Scope,
  UseGuards,
  UseInterceptors,
} from '@nestjs/common';
import { Reflector } from '@nestjs/core';
import { Cron, ScheduleModule, SchedulerRegistry } from '@nestjs/schedule';
import { expect } from '@jest/globals';
import { type Server } from 'node:http';
import { map, type Observable } from 'rxjs';
import { type MatrixKit, type MatrixRow, PROBE, type Scenario } from './decorator-matrix.kit.js';

/** Where calls come in from outside: Nest captured the method at boot, with what other decorators wrote on it. */
export const entryRows: readonly MatrixRow[] = [
  {
    title: 'a route over HTTP, with its guard, interceptor, pipe and status',
    build: (kit) => routeScenario(kit, Scope.DEFAULT),
  },
  { title: 'a route of a request-scoped controller', build: (kit) => routeScenario(kit, Scope.REQUEST) },
  { title: 'a @Cron job', build: cronScenario },
];

function routeScenario({ woven, word }: MatrixKit, scope: Scope): Scenario {
  @Injectable()
  class ProbeGuard implements CanActivate {
    constructor(@Inject(Reflector) private readonly reflector: Reflector) {}
    canActivate(context: ExecutionContext): boolean {
      return this.reflector.get(PROBE, context.getHandler()) === 'greet';
    }
  }

  class ShoutInterceptor implements NestInterceptor {
    intercept(_context: ExecutionContext, next: CallHandler): Observable<string> {
      return next.handle().pipe(map((body: string) => `${body}!`));
    }
  }

  class TrimPipe implements PipeTransform<string, string> {
    transform(value: string): string {
      return value.trim();
    }
  }

  const path = scope === Scope.REQUEST ? 'shop-of-the-request' : 'shop';

  @Controller({ path, scope })
  class ShopController {
    readonly greeting = 'hello';

    @woven('greet', Get('greet/:word'), HttpCode(202), UseGuards(ProbeGuard), UseInterceptors(ShoutInterceptor))
    async greet(@Param('word', TrimPipe) name: string): Promise<string> {
      return `${this.greeting} ${name}`;
    }

    @woven('refused', Get('refused/:word'), UseGuards(ProbeGuard))
    async refused(@Param('word') name: string): Promise<string> {
      return name;
    }

    @woven('conflict', Get('conflict/:word'))
    async conflict(@Param('word') name: string): Promise<string> {
      throw new ConflictException(name);
    }
  }

  return {
    metadata: () => ({ controllers: [ShopController] }),
    async exercise(app) {
      if (!(app.getHttpServer() as Server).listening) await app.listen(0, '127.0.0.1');
      const get = async (route: string): Promise<[number, string]> => {
        const response = await fetch(`${await app.getUrl()}/${path}/${route}`);
        return [response.status, await response.text()];
      };
      const name = word();
      expect(await get(`greet/%20${name}`)).toEqual([202, `hello ${name}!`]);
      expect((await get(`refused/${word()}`))[0]).toBe(403);
      expect((await get(`conflict/${word()}`))[0]).toBe(409);
      return 2;
    },
  };
}

function cronScenario({ woven, word }: MatrixKit): Scenario {
  @Injectable()
  class Nightly {
    private finished!: (ran: string) => void;
    readonly ran = new Promise<string>((resolve) => (this.finished = resolve));

    @woven('settle', Cron('0 3 1 1 *', { name: 'settle' }))
    async settle(name: string): Promise<string> {
      this.finished('settled');
      return name;
    }
  }

  return {
    metadata: () => ({ imports: [ScheduleModule.forRoot()], providers: [Nightly] }),
    async exercise(app) {
      const job = app.get(SchedulerRegistry).getCronJob('settle');
      expect(job.cronTime.source).toBe('0 3 1 1 *');
      void job.fireOnTick();
      await expect(app.get(Nightly).ran).resolves.toBe('settled');
      await expect(app.get(Nightly).settle(word())).resolves.toMatch(/^word/);
      return 2;
    },
  };
}
