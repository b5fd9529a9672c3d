import { describe, expect, it } from '@jest/globals';
import { LockBed } from '../../../test/support/lock-bed.js';
import { runs } from '../../../test/support/one-server.js';
import { RedisUnavailableError, type CommandArg } from '../../redis/index.js';
import { acquireTickScript } from '../store/scripts/acquire-tick.script.js';

const bed = new LockBed();

describe('a tick whose answer never arrives', () => {
  it('runs in another process', async () => {
    const [deaf, healthy] = [await bed.member(), await bed.member()];
    const instant = Date.now();
    // Redis takes the tick for a process that never hears of it.
    const { commands } = deaf.connections.get();
    const send = commands.send.bind(commands) as (...args: unknown[]) => Promise<unknown>;
    commands.send = (async (command: string, args: readonly CommandArg[], options?: object) => {
      const reply = await send(command, args, options);
      if (runs(acquireTickScript, args[0])) throw new RedisUnavailableError('no answer', 'unknown');
      return reply;
    }) as typeof commands.send;
    const ran: string[] = [];
    const lost = deaf.locks.oncePerTick('daily', instant, { waitMs: 300 }, () => ran.push('deaf'));
    await expect(lost).rejects.toMatchObject({ code: 'SLUICE_REDIS_UNAVAILABLE' });
    await healthy.locks.oncePerTick('daily', instant, () => ran.push('healthy'));
    expect(ran).toEqual(['healthy']);
  });
});

describe('oncePerTick', () => {
  it('runs a body once for an instant in the whole fleet, and never for an older one', async () => {
    const [a, b] = [await bed.service(), await bed.service()];
    const instant = new Date('2026-05-01T03:00:00Z');
    let ran = 0;
    const body = (): number => ++ran;
    const both = await Promise.all([a.oncePerTick('job', instant, body), b.oncePerTick('job', instant, body)]);
    expect(both.sort()).toEqual([1, undefined]);
    expect(await b.oncePerTick('job', instant.getTime() - 1, body)).toBeUndefined();
    expect(await b.oncePerTick('job', instant.getTime() + 1, ({ held }) => held)).toBe(true);
    await bed.occupy('job');
    expect(await b.oncePerTick('job', instant.getTime() + 2, body)).toBeUndefined();
    expect(ran).toBe(1);
  });

  it('leaves a lock that is held to its holder, though others wait for it', async () => {
    const [holder, waits, ticks] = [await bed.service(), await bed.service(), await bed.service()];
    const held = await holder.acquire('x');
    const next = waits.acquire('x', { waitMs: 60_000 });
    await bed.waiting(1);
    expect(await ticks.oncePerTick('x', Date.now(), () => 'ran')).toBeUndefined();
    expect(await bed.admin.get('lock:x')).toBe(held.owner);
    await bed.waiting(1);
    await held.release();
    await (await next).release();
  });

  it.each([
    ['now', (): number => 0],
    [Number.NaN, (): number => 0],
    [new Date('never'), (): number => 0],
    [new Date(), 'no function'],
  ])('refuses %p with %p', async (instant, body) => {
    const locks = await bed.service();
    const call = locks.oncePerTick('job', instant as Date, body as () => number);
    await expect(call).rejects.toMatchObject({ code: 'SLUICE_BAD_OPTION' });
    expect(await bed.admin.dbsize()).toBe(0);
  });
});
