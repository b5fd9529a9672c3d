import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { Test, type TestingModule } from '@nestjs/testing';
import { Redis } from 'ioredis';
import type { Socket } from 'node:net';
import { ManualClock } from '../../../test/support/manual-clock.js';
import { startRedis, type RedisServer } from '../../testing/index.js';
import { LockService, SluiceModule } from '../../sluice/index.js';
import { REDIS_CONNECTIONS, SLUICE_CLOCK, type RedisConnections } from '../index.js';
import { BOOT_IDLE_MS, BootHold } from './boot-hold.js';

let redis: RedisServer;
let clock: ManualClock;
beforeEach(async () => {
  redis = await startRedis();
  clock = new ManualClock();
});
afterEach(() => redis.stop());

/** Whether the socket keeps the process alive. */
const holds = (client: Redis): boolean =>
  (client.stream as Socket & { _handle: { hasRef(): boolean } })._handle.hasRef();

describe('sockets of an app that boots', () => {
  let client: Redis;
  let hold: BootHold;
  beforeEach(async () => {
    client = new Redis(redis.url, { lazyConnect: true });
    client.on('error', () => {});
    hold = new BootHold(clock);
    hold.add(client);
    await client.connect();
  });
  afterEach(() => {
    client.disconnect();
  });

  it('keep the process alive while they are used, and for five seconds after', async () => {
    expect(holds(client)).toBe(true);
    await clock.pass(BOOT_IDLE_MS - 1_000);
    hold.used();
    await clock.pass(BOOT_IDLE_MS - 1_000);
    expect(holds(client)).toBe(true);
    await clock.pass(2_000);
    expect(holds(client)).toBe(false);
    hold.used();
    expect(holds(client)).toBe(true);
    await clock.pass(BOOT_IDLE_MS);
    expect(holds(client)).toBe(false);
  });

  it('do so for good once it has booted', async () => {
    await clock.pass(BOOT_IDLE_MS);
    hold.booted();
    expect(holds(client)).toBe(true);
    await clock.pass(BOOT_IDLE_MS * 3);
    expect(holds(client)).toBe(true);
    expect([hold.isOver, clock.timers]).toEqual([true, 0]);
  });

  it('do not when they connect anew while nothing uses them', async () => {
    await clock.pass(BOOT_IDLE_MS);
    const ready = new Promise((resolve) => client.once('ready', resolve));
    client.disconnect(true);
    await ready;
    await clock.pass(BOOT_IDLE_MS);
    expect(holds(client)).toBe(false);
  });
});

/** An app on the clock of the test, and its connections. */
async function compile(hooks: object): Promise<{ app: TestingModule; client: Redis }> {
  const app = await Test.createTestingModule({
    imports: [SluiceModule.forRoot({ redis: { url: redis.url } })],
    providers: [{ provide: 'hooks', useValue: hooks }],
  })
    .overrideProvider(SLUICE_CLOCK)
    .useValue(clock)
    .compile();
  return { app, client: app.get<RedisConnections>(REDIS_CONNECTIONS).get().commands.client };
}

describe('an app', () => {
  it('keeps the process alive from the last hook of its boot on', async () => {
    let during: boolean | undefined;
    const { app, client } = await compile({
      onModuleInit: () => clock.pass(BOOT_IDLE_MS),
      onApplicationBootstrap: () => {
        during = holds(client);
      },
    });
    await app.init();
    expect([during, holds(client)]).toEqual([false, true]);
    const lock = await app.get(LockService).tryAcquire('a');
    expect(lock).not.toBeNull();
    // A stop waits for work under locks, on a clock that stands still here.
    await lock?.release();
    await app.close();
  });

  it('does not when its boot failed in another module', async () => {
    const { app, client } = await compile({
      onApplicationBootstrap: () => {
        throw new Error('db down');
      },
    });
    await expect(app.init()).rejects.toThrow('db down');
    await clock.pass(BOOT_IDLE_MS);
    expect(holds(client)).toBe(false);
    await app.close();
  });
});
