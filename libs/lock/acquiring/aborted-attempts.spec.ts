import { afterEach, describe, expect, it } from '@jest/globals';
import { LockBed } from '../../../test/support/lock-bed.js';
import { until } from '../../../test/support/until.js';
import { acquireScript } from '../store/scripts/acquire.script.js';
import { acquireTickScript } from '../store/scripts/acquire-tick.script.js';
import { beginTickScript } from '../store/scripts/begin-tick.script.js';
import type { LockService } from '../index.js';

// Before the hooks of the bed: those close the apps, and need a Redis that answers.
afterEach(() => {
  bed.redis.resume();
});

const bed: LockBed = new LockBed();
const REASON = new Error('the client went away');

type Call = (locks: LockService, signal: AbortSignal) => Promise<unknown>;

const CALLS: readonly [name: string, call: Call][] = [
  ['tryAcquire', (locks, signal) => locks.tryAcquire('x', { signal, ttlMs: 600_000 })],
  ['acquire without waiting', (locks, signal) => locks.acquire('x', { signal, waitMs: 0, ttlMs: 600_000 })],
  ['acquire', (locks, signal) => locks.acquire('x', { signal, ttlMs: 600_000 })],
  ['withLock', (locks, signal) => locks.withLock('x', { signal, waitMs: 0, ttlMs: 600_000 }, () => 0)],
  ['oncePerTick', (locks, signal) => locks.oncePerTick('x', 1, { signal, ttlMs: 600_000 }, () => 0)],
];

describe('an acquisition whose signal aborts while Redis hangs', () => {
  it.each(CALLS)('rejects with the reason at once, and leaves nothing held: %s', async (_name, call) => {
    // With the default, Redis is given up after five seconds.
    const member = await bed.member({ commandTimeoutMs: 60_000 });
    await member.locks.withLock('warm', () => 0);
    for (const { lua } of [acquireScript, acquireTickScript, beginTickScript]) await bed.admin.script('LOAD', lua);
    const controller = new AbortController();
    bed.redis.pause();
    let outcome: unknown;
    void call(member.locks, controller.signal).catch((error: unknown) => (outcome = error));
    // The request leaves with the end of this turn.
    await new Promise((resolve) => setImmediate(resolve));
    controller.abort(REASON);
    await until(() => outcome, { what: 'it rejects', everyMs: 5, deadlineMs: 15_000 });
    expect(outcome).toBe(REASON);
    bed.redis.resume();
    await until(async () => (await bed.admin.get('{lock:x}:~fence')) !== null, { what: 'the request was granted' });
    await until(async () => (await bed.admin.exists('lock:x', '{lock:x}:~queue')) === 0, { what: 'it is given back' });
    // A tick that was aborted is left to others.
    expect(await member.locks.oncePerTick('x', 1, () => 'ran')).toBe('ran');
  });

  it('sends nothing more for a tick once it is aborted', async () => {
    const { locks } = await bed.member();
    const controller = new AbortController();
    controller.abort(REASON);
    await expect(locks.oncePerTick('x', 1, { signal: controller.signal }, () => 0)).rejects.toBe(REASON);
    await expect(locks.tryAcquire('x', { signal: controller.signal })).rejects.toBe(REASON);
    await expect(locks.acquire('x', { signal: controller.signal, waitMs: 0 })).rejects.toBe(REASON);
    await until(async () => (await bed.admin.dbsize()) === 0, { what: 'nothing is left' });
  });

  it('releases a lock that is granted in the same turn as the abort', async () => {
    const { locks, connections } = await bed.member();
    await locks.withLock('x', () => 0);
    const controller = new AbortController();
    const { commands } = connections.get();
    const send = commands.send.bind(commands) as (...args: unknown[]) => Promise<unknown>;
    commands.send = (async (...args: unknown[]) => {
      const reply = await send(...args);
      // After the answer was taken for a grant, and before the caller gets it.
      void Promise.resolve().then(() =>
        Promise.resolve().then(() =>
          Promise.resolve().then(() => {
            controller.abort(REASON);
          }),
        ),
      );
      return reply;
    }) as typeof commands.send;
    const outcome = await locks.tryAcquire('x', { signal: controller.signal }).catch((error: unknown) => error);
    if (outcome === REASON) {
      await until(() => locks.stats().held === 0, { what: 'it is released' });
      await until(async () => (await bed.admin.exists('lock:x')) === 0, { what: 'it is free' });
    } else expect(outcome).toMatchObject({ held: true });
  });
});
