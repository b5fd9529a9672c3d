import { describe, expect, it } from '@jest/globals';
import { Injectable, Module, type OnModuleDestroy } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { existing } from '../../../test/support/existing.js';
import { gate } from '../../../test/support/gate.js';
import { LockBed } from '../../../test/support/lock-bed.js';
import { SOON_MS, until } from '../../../test/support/until.js';
import { REDIS_CONNECTIONS, type RedisConnections } from '../../redis/index.js';
import { SluiceTestingModule } from '../../testing/index.js';
import { LockService, WithLock } from '../index.js';
import { Drain } from './drain.js';

const bed = new LockBed();
/** No spec waits for so long. */
const LONG = { lock: { drainMs: 2 * SOON_MS } };

/** It goes down as soon as the locks are released, and not only after `drainMs`. */
async function soon(closed: Promise<void>): Promise<void> {
  let isClosed = false;
  void closed.then(() => (isClosed = true));
  await until(() => isClosed, { what: 'the app is closed', deadlineMs: SOON_MS });
}

@Injectable()
class Database implements OnModuleDestroy {
  open = true;

  onModuleDestroy(): void {
    this.open = false;
  }
}

@Injectable()
class Job {
  readonly begun = gate();
  readonly mayEnd = gate();

  constructor(readonly database: Database) {}

  @WithLock('job')
  async run(): Promise<boolean> {
    this.begun.open();
    await this.mayEnd.opened;
    return this.database.open;
  }
}

@Module({ providers: [Job, Database] })
class JobModule {}

describe('an app that shuts down', () => {
  it('lets a body end, which keeps its lock and the providers that it uses', async () => {
    const closing = await bed.member({ ...LONG, module: { imports: [JobModule] } });
    const other = await bed.service();
    const job = closing.app.get(Job, { strict: false });
    const run = job.run();
    await job.begun.opened;
    const closed = closing.app.close();
    await until(() => closing.locks.acquire('during').then((lock) => lock.release()), { what: 'calls go on' });
    expect(await other.tryAcquire('job')).toBeNull();
    job.mayEnd.open();
    expect(await run).toBe(true);
    await soon(closed);
    expect(await other.tryAcquire('job')).not.toBeNull();
  });

  it('waits for locks without a body as well, and not for one that is taken meanwhile', async () => {
    const [closing, other] = [await bed.member(LONG), await bed.service()];
    const lock = await closing.locks.acquire('x');
    const second = await closing.locks.acquire('y');
    const closed = closing.app.close();
    const later = await closing.locks.acquire('z');
    await second.release();
    expect(await other.tryAcquire('x')).toBeNull();
    expect([lock.held, lock.signal.aborted]).toEqual([true, false]);
    await lock.release();
    await soon(closed);
    expect(later.signal.reason).toMatchObject({ reason: 'closed' });
    expect(await existing(bed.admin, 'lock:x', 'lock:y', 'lock:z')).toBe(0);
  });

  it('takes the locks away after drainMs', async () => {
    const closing = await bed.member({ lock: { drainMs: 100 } });
    const lock = await closing.locks.acquire('x');
    const from = performance.now();
    await closing.app.close();
    expect(performance.now() - from).toBeGreaterThanOrEqual(95);
    expect(lock.signal.reason).toMatchObject({ code: 'SLUICE_LOCK_LOST', reason: 'closed' });
    expect(await bed.admin.exists('lock:x')).toBe(0);
  });

  it('goes down at once if no lock is held', async () => {
    const closing = await bed.member(LONG);
    await (await closing.locks.acquire('x')).release();
    await soon(closing.app.close());
    await expect(closing.locks.acquire('x')).rejects.toMatchObject({ code: 'SLUICE_CLOSED' });
  });

  it('waits for a lock that is lost no longer', async () => {
    const [closing, other] = [await bed.member(LONG), await bed.service()];
    const lock = await closing.locks.acquire('x');
    const closed = closing.app.close();
    await other.forceRelease('x');
    await soon(closed);
    expect(lock.signal.reason).toMatchObject({ reason: 'forced' });
  });

  it.each([-1, Number.NaN, '5', Infinity])('refuses drainMs %p', async (drainMs) => {
    const booted = bed.member({ lock: { drainMs: drainMs as number } });
    await expect(booted).rejects.toThrow('lock.drainMs must be a number of milliseconds from 0 to 2147483647');
  });
});

describe('without Redis', () => {
  const boot = async (lock: object) => {
    const app = await Test.createTestingModule({ imports: [SluiceTestingModule.forRoot({ lock })] }).compile();
    return app.init();
  };

  it('is the same, but by default a test is not kept waiting', async () => {
    const [quick, patient] = [await boot({}), await boot(LONG.lock)];
    const [held, lock] = [await quick.get(LockService).acquire('x'), await patient.get(LockService).acquire('x')];
    await quick.close();
    expect(held.signal.reason).toMatchObject({ reason: 'closed' });
    const closed = patient.close();
    expect(lock.held).toBe(true);
    await lock.release();
    await soon(closed);
    expect(lock.signal.aborted).toBe(false);
  });

  it('says which locks it waits for, and which it takes away', async () => {
    const app = await boot({});
    const locks = app.get(LockService);
    const held = await Promise.all([1, 2, 3, 4, 5, 6, 7].map((i) => locks.acquire(`lock ${i}`)));
    const { clock } = app.get<RedisConnections>(REDIS_CONNECTIONS);
    const lines: string[] = [];
    const drain = new Drain({ clock, withinMs: 1_100, warn: (line) => void lines.push(line) }, held);
    await drain.wait([]);
    const shown = "'lock 1', 'lock 2', 'lock 3', 'lock 4', 'lock 5' and 2 more";
    expect(lines).toEqual([
      `shutdown waits for work under locks ${shown}, at most 1100 ms (lock.drainMs)`,
      `shutdown takes the locks from work under locks ${shown} after 1100 ms (lock.drainMs)`,
    ]);
    await app.close();
  });
});
