import type { ServerResponse } from 'node:http';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { Controller, Get, Injectable, UseGuards, type CanActivate } from '@nestjs/common';
import { gate } from '../../../test/support/gate.js';
import { LimitedApps } from '../../../test/support/limited-app.js';
import { until } from '../../../test/support/until.js';
import { RateLimit, RateLimitService, defineRateLimit } from '../index.js';

const apps = new LimitedApps();
beforeAll(() => apps.start());
afterEach(() => apps.clear());
afterAll(() => apps.stop());

const ADDRESS = '127.0.0.1';
const HOUR_MS = 3_600_000;
const Slow = defineRateLimit('slow', { limit: 1, perMs: HOUR_MS, mode: 'pace' });
const Ten = defineRateLimit('ten', { limit: 10, perMs: HOUR_MS });

/** Clients whose leaving the server has seen. */
let gone = 0;
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
  @RateLimit(Slow, { maxWaitMs: 24 * HOUR_MS })
  @UseGuards(Doorkeeper)
  guarded(): string {
    this.calls++;
    return 'ok';
  }
}

/** A request whose client leaves when told to. */
function visit(path: string): { leave: () => void; left: Promise<unknown> } {
  const controller = new AbortController();
  const left = apps.get(path, { signal: controller.signal }).catch(() => 'left');
  const leave = (): void => {
    controller.abort();
  };
  return { leave, left };
}

async function boot(): Promise<{ shop: Shop; limits: RateLimitService; turns: () => Promise<number> }> {
  gone = 0;
  const app = await apps.boot({}, { controllers: [Shop] }, (app) =>
    app.use((_request: unknown, response: ServerResponse, next: () => void) => {
      response.once('close', () => {
        if (!response.writableFinished) gone++;
      });
      next();
    }),
  );
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

  it('takes no turn if it left before', async () => {
    [entered, door] = [gate(), gate()];
    const { shop, limits } = await boot();
    const { leave, left } = visit('guarded');
    await entered.opened;
    leave();
    await until(() => gone === 1, { what: 'it is gone' });
    await left;
    door.open();
    expect(await apps.statuses('slow', 1)).toEqual([200]);
    expect(shop.calls).toBe(1);
    expect(limits.stats().names.find(({ name }) => name === 'slow')).toMatchObject({ allowed: 1 });
  });
});
