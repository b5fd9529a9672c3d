import { request as httpRequest, type ServerResponse } from 'node:http';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { Controller, Get, Injectable, UseGuards, type CanActivate } from '@nestjs/common';
import { gate } from '../../../test/support/gate.js';
import { LimitedApps } from '../../../test/support/limited-app.js';
import { until } from '../../../test/support/until.js';
import { RateLimit, RateLimitService, defineRateLimit, fromContext } from '../index.js';

const apps = new LimitedApps();
beforeAll(() => apps.start());
afterEach(() => apps.clear());
afterAll(() => apps.stop());

const ADDRESS = '127.0.0.1';
const HOUR_MS = 3_600_000;
const Slow = defineRateLimit('slow', { limit: 1, perMs: HOUR_MS, mode: 'pace' });
const Ten = defineRateLimit('ten', { limit: 10, perMs: HOUR_MS });

let url = '';
/** Clients whose leaving the server has seen. */
let gone = 0;
/** What calls ended with. */
let caught: unknown[] = [];
let entered = gate();
let door = gate();

@Injectable()
class Doorkeeper implements CanActivate {
  async canActivate(): Promise<boolean> {
    entered.open();
    await door.opened;
    return true;
  }
}

@Controller()
class Shop {
  calls = 0;

  @Get('slow')
  @RateLimit(Ten)
  @RateLimit(Slow, { maxWaitMs: 24 * HOUR_MS })
  slow(): string {
    this.calls++;
    return 'ok';
  }

  @Get('guarded')
  @RateLimit(Slow, { by: fromContext(() => 'someone'), maxWaitMs: 24 * HOUR_MS })
  @UseGuards(Doorkeeper)
  guarded(): string {
    this.calls++;
    return 'ok';
  }

  @Get('guarded-by-ip')
  @RateLimit(Ten)
  @UseGuards(Doorkeeper)
  guardedByAddress(): string {
    this.calls++;
    return 'ok';
  }
}

/** A request whose client leaves when told to. */
function visit(path: string): { leave: () => void; left: Promise<unknown> } {
  const request = httpRequest(`${url}/${path}`, { agent: false });
  const left = new Promise((resolve) => {
    request.on('error', () => {
      resolve('left');
    });
    request.on('response', resolve);
  });
  request.end();
  const leave = (): void => {
    request.destroy();
  };
  return { leave, left };
}

async function boot(): Promise<{ shop: Shop; limits: RateLimitService; turns: () => Promise<number> }> {
  gone = 0;
  caught = [];
  const app = await apps.boot({}, { controllers: [Shop] }, (before) => {
    before.use((_request: unknown, response: ServerResponse, next: () => void) => {
      response.once('close', () => {
        if (!response.writableFinished) gone++;
      });
      next();
    });
    before.useGlobalFilters({
      catch: (error: unknown, host) => {
        caught.push(error);
        host.switchToHttp().getResponse<ServerResponse>().end();
      },
    });
  });
  url = await app.getUrl();
  const limits = app.get(RateLimitService);
  /** The hours until the next turn. */
  const turns = async (): Promise<number> => Math.ceil((await limits.peek(Slow, ADDRESS)).retryAfterMs / HOUR_MS);
  return { shop: app.get(Shop), limits, turns };
}

describe('a client that leaves while it waits for its turn', () => {
  it('gives the turn back, and its route does not run', async () => {
    const { shop, turns } = await boot();
    expect(await apps.statuses('slow', 1)).toEqual([200]);
    const { leave, left } = visit('slow');
    await until(async () => (await turns()) === 2, { what: 'it has a turn' });
    leave();
    expect(await left).toBe('left');
    await until(async () => (await turns()) === 1, { what: 'the turn is free' });
    expect(shop.calls).toBe(1);
  });

  it('stays charged by the other limits of the route', async () => {
    const { limits, turns } = await boot();
    expect(await apps.statuses('slow', 1)).toEqual([200]);
    const { leave, left } = visit('slow');
    await until(async () => (await turns()) === 2, { what: 'it has a turn' });
    leave();
    await left;
    await until(async () => (await turns()) === 1, { what: 'the turn is free' });
    expect((await limits.peek(Ten, ADDRESS)).remaining).toBe(8);
  });

  it('loses the turn unused if another call is behind it, whose turn stays as it is', async () => {
    const { limits, turns } = await boot();
    expect(await apps.statuses('slow', 1)).toEqual([200]);
    const first = visit('slow');
    await until(async () => (await turns()) === 2, { what: 'the first has a turn' });
    const second = visit('slow');
    await until(async () => (await turns()) === 3, { what: 'the second has a turn' });
    first.leave();
    await until(() => gone === 1, { what: 'the first is gone' });
    second.leave();
    await second.left;
    await until(async () => (await turns()) === 2, { what: 'the second turn is free' });
    expect(limits.stats().names.find(({ name }) => name === 'slow')).toMatchObject({ allowed: 3 });
  });
});

describe('a client that left before the guard', () => {
  /** Sends a request that a guard holds up, and leaves meanwhile. The exception of the call. */
  async function leaveAtTheDoor(path: string): Promise<unknown> {
    [entered, door] = [gate(), gate()];
    const { leave, left } = visit(path);
    await entered.opened;
    leave();
    await until(() => gone === 1, { what: 'it is gone' });
    await left;
    door.open();
    await until(() => caught.length > 0, { what: 'the call ends' });
    return caught[0];
  }

  it('takes no turn, and its route does not run', async () => {
    const { shop, limits } = await boot();
    expect(await leaveAtTheDoor('guarded')).toMatchObject({ status: 499 });
    expect(shop.calls).toBe(0);
    expect((await limits.peek(Slow, 'someone')).remaining).toBe(1);
  });

  it('has no address any more, which is no mistake of the app', async () => {
    const { shop } = await boot();
    expect(await leaveAtTheDoor('guarded-by-ip')).toMatchObject({ status: 499 });
    expect(shop.calls).toBe(0);
  });
});
