import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import {
  Controller,
  ForbiddenException,
  Get,
  HttpCode,
  Injectable,
  UnauthorizedException,
  UseGuards,
  type CanActivate,
  type ExecutionContext,
} from '@nestjs/common';
import { of, throwError, type Observable } from 'rxjs';
import { gate } from '../../../test/support/gate.js';
import { LimitedApps } from '../../../test/support/limited-app.js';
import { until } from '../../../test/support/until.js';
import { RateLimit, RateLimitService, defineRateLimit } from '../index.js';

const apps = new LimitedApps();
beforeAll(() => apps.start());
afterEach(() => apps.clear());
afterAll(() => apps.stop());

const Failures = defineRateLimit('failures', { limit: 2, perMs: 60_000 });
const Successes = defineRateLimit('successes', { limit: 2, perMs: 60_000 });
const All = defineRateLimit('all', { limit: 100, perMs: 60_000 });

@Injectable()
class Password implements CanActivate {
  canActivate(context: ExecutionContext): boolean {
    const { headers } = context.switchToHttp().getRequest<{ headers: Record<string, string> }>();
    if (headers['x-password'] === 'right') return true;
    throw new UnauthorizedException();
  }
}

let entered = 0;
let door = gate();

@Controller()
class Logins {
  @Get('failures/right')
  @RateLimit(Failures, { count: 'failures' })
  right(): string {
    return 'ok';
  }

  @Get('failures/wrong')
  @RateLimit(Failures, { count: 'failures' })
  wrong(): never {
    throw new ForbiddenException();
  }

  @Get('failures/stream')
  @RateLimit(Failures, { count: 'failures' })
  stream(): Observable<string> {
    return throwError(() => new ForbiddenException());
  }

  @Get('failures/status')
  @HttpCode(422)
  @RateLimit(Failures, { count: 'failures' })
  status(): string {
    return 'not like this';
  }

  @Get('failures/guarded')
  @UseGuards(Password)
  @RateLimit(Failures, { count: 'failures' })
  guarded(): string {
    return 'ok';
  }

  @Get('failures/slow')
  @RateLimit(Failures, { count: 'failures' })
  async slow(): Promise<never> {
    entered++;
    await door.opened;
    throw new ForbiddenException();
  }

  @Get('successes/right')
  @RateLimit([Successes, All], { count: 'successes' })
  order(): Observable<string> {
    return of('ok');
  }

  @Get('successes/wrong')
  @RateLimit([Successes, All], { count: 'successes' })
  sold(): never {
    throw new ForbiddenException();
  }

  @Get('successes/guarded')
  @UseGuards(Password)
  @RateLimit(Successes, { count: 'successes' })
  guardedOrder(): string {
    return 'ok';
  }
}

const boot = async (): Promise<RateLimitService> => {
  const app = await apps.boot({}, { controllers: [Logins], providers: [Password] });
  return app.get(RateLimitService);
};
const right = { headers: { 'x-password': 'right' } };

describe("count: 'failures'", () => {
  it.each(['wrong', 'stream', 'status', 'guarded'])(
    'calls that succeed are free, those that fail are not: %s',
    async (how) => {
      const limits = await boot();
      expect(await apps.statuses('failures/right', 5)).toEqual([200, 200, 200, 200, 200]);
      expect(await apps.statuses('failures/guarded', 5, right)).toEqual([200, 200, 200, 200, 200]);
      const [first] = await apps.statuses(`failures/${how}`, 2);
      expect(first).toBeGreaterThan(400);
      expect(await apps.statuses('failures/right', 2)).toEqual([429, 429]);
      expect((await limits.peek(Failures, '127.0.0.1')).remaining).toBe(0);
    },
  );

  it('calls at the same time do not get more tries than the limit', async () => {
    await boot();
    [entered, door] = [0, gate()];
    const calls = Array.from({ length: 10 }, () => apps.get('failures/slow'));
    await until(() => entered === 2, { what: 'two calls run' });
    const refused: number[] = [];
    const statuses = calls.map((call) => call.then(({ status }) => (refused.push(status), status)));
    await until(() => refused.length === 8, { what: 'the others are refused' });
    door.open();
    expect((await Promise.all(statuses)).sort()).toEqual([403, 403, 429, 429, 429, 429, 429, 429, 429, 429]);
    expect(entered).toBe(2);
  });

  it('a client that leaves before it is answered gets nothing back', async () => {
    const limits = await boot();
    [entered, door] = [0, gate()];
    const leave = new AbortController();
    const call = apps.get('failures/slow', { signal: leave.signal }).catch(() => 'left');
    await until(() => entered === 1, { what: 'the call runs' });
    leave.abort();
    expect(await call).toBe('left');
    door.open();
    expect((await limits.peek(Failures, '127.0.0.1')).remaining).toBe(1);
  });
});

describe("count: 'successes'", () => {
  it('calls that fail are free, also those that another guard refuses', async () => {
    const limits = await boot();
    expect(await apps.statuses('successes/wrong', 4)).toEqual([403, 403, 403, 403]);
    expect(await apps.statuses('successes/guarded', 4)).toEqual([401, 401, 401, 401]);
    await until(async () => (await limits.peek(Successes, '127.0.0.1')).remaining === 2, { what: 'all is given back' });
    expect(await apps.statuses('successes/guarded', 1, right)).toEqual([200]);
    expect(await apps.statuses('successes/right', 2)).toEqual([200, 429]);
    expect((await limits.peek(All, '127.0.0.1')).remaining).toBe(99);
  });
});
