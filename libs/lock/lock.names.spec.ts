import { describe, expect, it } from '@jest/globals';
import { Injectable } from '@nestjs/common';
import { LockBed } from '../../test/support/lock-bed.js';
import { WithLock } from './index.js';

const bed = new LockBed();

@Injectable()
class Orders {
  @WithLock((id?: unknown) => `order:${id as string}`)
  async ship(_id?: unknown): Promise<string> {
    return Promise.resolve('shipped');
  }

  @WithLock((name: string) => name)
  async named(_name: string): Promise<string> {
    return Promise.resolve('named');
  }

  @WithLock(() => {
    throw new TypeError('no order');
  })
  async broken(): Promise<number> {
    return 0;
  }
}

describe('the name of a lock', () => {
  it.each([
    ['order:undefined', 'undefined'],
    ['undefined', 'undefined'],
    ['order:null:eu', 'null'],
    ['null:order', 'null'],
    ['order:NaN', 'NaN'],
    ['{undefined}:order', 'undefined'],
    ['order:[object Object]', '[object Object]'],
    ['[object Promise]', '[object Promise]'],
  ])('is refused where a part of it is missing: %s', async (name, part) => {
    const locks = await bed.service();
    const refused = { code: 'SLUICE_BAD_NAME', message: expect.stringContaining(`has the part '${part}'`) };
    await expect(locks.acquire(name)).rejects.toMatchObject(refused);
    await expect(locks.tryAcquire(name)).rejects.toMatchObject(refused);
    await expect(locks.withLock(name, () => 0)).rejects.toMatchObject(refused);
    await expect(locks.oncePerTick(name, 1, () => 0)).rejects.toMatchObject(refused);
    expect(() => WithLock(name)).toThrow(expect.objectContaining(refused));
    expect(await bed.admin.dbsize()).toBe(0);
    // An operator may look at any key.
    expect(await locks.inspect(name)).toBeNull();
    expect(await locks.forceRelease(name)).toBe(false);
  });

  it.each([
    'undefined-behaviour',
    'nullable',
    'user:nullify',
    'is:not null',
    'order:',
    'a::b',
    'Null',
    '[object]',
    '0',
  ])('may have such a word in it: %s', async (name) => {
    const locks = await bed.service();
    expect(await locks.withLock(name, () => 'ran')).toBe('ran');
  });

  it('is refused with the method whose function made it', async () => {
    const orders = await bed.boot(Orders);
    expect(await orders.ship('7')).toBe('shipped');
    const bad = (why: string) => ({ code: 'SLUICE_BAD_NAME', message: expect.stringContaining(why) });
    const made = 'its function made a bad name: lock name';
    await expect(orders.ship()).rejects.toMatchObject(bad(`Orders.ship (@WithLock): ${made} 'order:undefined' has`));
    for (const [name, shown] of [
      [undefined, 'undefined'],
      ['', "''"],
      [7, '7'],
      [Promise.resolve('x'), 'Promise'],
    ] as const) {
      await expect(orders.named(name as string)).rejects.toMatchObject(bad(`Orders.named (@WithLock): ${made}`));
      await expect(orders.named(name as string)).rejects.toMatchObject(bad(`non-empty string, got ${shown}`));
    }
    await expect(orders.broken()).rejects.toThrow(new TypeError('no order'));
  });

  it('is one name', async () => {
    const locks = await bed.service();
    const several = ['a', 'b'] as unknown as string;
    const refused = { code: 'SLUICE_BAD_NAME', message: expect.stringContaining('a lock has one name, got') };
    await expect(locks.acquire(several)).rejects.toMatchObject(refused);
    await expect(locks.withLock(several, () => 0)).rejects.toMatchObject(refused);
    // Other lock packages take a list of names and a number of milliseconds. The first wrong argument is named.
    const ms = 5_000 as unknown as object;
    const body = (() => 0) as () => number;
    await expect(locks.acquire(several, ms)).rejects.toMatchObject(refused);
    await expect(locks.tryAcquire(several, ms)).rejects.toMatchObject(refused);
    await expect(locks.withLock(several, ms, body)).rejects.toMatchObject(refused);
    await expect(locks.withLock(several, ms as typeof body)).rejects.toMatchObject(refused);
    await expect(locks.oncePerTick(several, 'now' as unknown as Date, ms, body)).rejects.toMatchObject(refused);
    await expect(locks.fenced.set('', 'v', 0)).rejects.toMatchObject({ code: 'SLUICE_BAD_NAME' });
    await expect(locks.fenced.delete('', 0)).rejects.toMatchObject({ code: 'SLUICE_BAD_NAME' });
  });
});
