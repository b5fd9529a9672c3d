import { describe, expect, it } from '@jest/globals';
import { ManualClock } from '../../../test/support/manual-clock.js';
import { Keyspace } from '../../redis/index.js';
import type { Lock } from '../index.js';
import { LockKeyCache } from '../store/lock-key-cache.js';
import type { LockIdentity, LockRequest } from '../store/lock-request.js';
import type { LockStore } from '../store/lock.store.js';
import type { Acquired } from '../store/scripts/acquire.reply.js';
import type { Heartbeat } from '../store/scripts/heartbeat.script.js';
import { WaitingRoom } from './waiting-room.js';

/** A room on a clock that stands still, whose Redis answers when told to. */
function room() {
  const clock = new ManualClock();
  const joins: ((answer: Acquired) => void)[] = [];
  const asked: ((answer: Heartbeat[]) => void)[] = [];
  const granted: number[] = [];
  const unwanted: LockIdentity[] = [];
  const store: Pick<LockStore, 'join' | 'heartbeat' | 'together'> = {
    together: (items) => [items],
    join: () => new Promise((resolve) => joins.push(resolve)),
    heartbeat: (waiting) => {
      waiting();
      return new Promise((resolve) => asked.push(resolve));
    },
  };
  const made = new WaitingRoom(clock, store, {
    granted: (_request, { token }): Lock => {
      granted.push(token);
      return {} as Lock;
    },
    unwanted: (identity) => unwanted.push(identity),
    waits: () => {},
    queued: () => {},
    gaveUp: (waiter) => {
      waiter.fail(new Error('gave up'));
    },
    onError: (error) => {
      throw error;
    },
  });
  const keys = new LockKeyCache(new Keyspace()).get('x');
  const times = { ttlMs: 30_000, renew: true, minHoldMs: 0, maxHoldMs: Infinity };
  const request: LockRequest = { name: 'x', keys, nonce: 'n', owner: 'o', ...times };
  return { clock, room: made, request, joins, asked, granted, unwanted };
}

const busy: Acquired = { state: 'busy', ttlMs: -1, fence: 1, holder: undefined, place: '7' };

describe('a grant', () => {
  it('is held in the step that takes it: a second message about it, in the same packet, is not for nobody', async () => {
    const { room: made, clock, request, joins, granted } = room();
    const waiter = made.wait(request, 5_000, undefined);
    joins[0]!(busy);
    await clock.pass(0);
    expect(made.size).toBe(1);
    made.pushed({ identity: request, token: 2, validMs: 22_000 });
    expect(granted).toEqual([2]);
    await waiter;
    await made.stop();
  });
});

describe('a push that is faster than the answer', () => {
  it('is what the answer was waited for', async () => {
    const { room: made, clock, request, joins, granted, unwanted } = room();
    const waiter = made.wait(request, 5_000, undefined);
    expect(made.pushed({ identity: request, token: 2, validMs: 22_000 })).toBe(true);
    joins[0]!(busy);
    await waiter;
    await clock.pass(2_000);
    expect([granted, unwanted]).toEqual([[2], []]);
    await made.stop();
  });

  it('goes back after a moment if nobody asked for it, and at once if nothing is on the way', async () => {
    const { room: made, clock, request, joins, unwanted } = room();
    const other = { ...request, nonce: 'other' };
    const waiter = made.wait(request, 5_000, undefined);
    expect(made.pushed({ identity: other, token: 2, validMs: 22_000 })).toBe(true);
    await clock.pass(999);
    expect(unwanted).toEqual([]);
    await clock.pass(1);
    expect(unwanted).toEqual([other]);
    joins[0]!({ state: 'granted', token: 3 });
    await waiter;
    expect(made.pushed({ identity: other, token: 2, validMs: 22_000 })).toBe(false);
    await made.stop();
  });
});

describe('a room that closes', () => {
  it('turns out who is found to wait only then', async () => {
    const { room: made, request, joins } = room();
    const waiter = made.wait(request, 5_000, undefined);
    const left: string[] = [];
    made.leave((each) => {
      left.push(each.request.nonce);
      each.fail(new Error('closed'));
    });
    const stopped = made.stop();
    joins[0]!(busy);
    await expect(waiter).rejects.toThrow('closed');
    await stopped;
    expect(left).toEqual(['n']);
  });
});

describe('a heartbeat that is executed late', () => {
  it('passes on what it was granted for those who have left since', async () => {
    const { room: made, clock, request, joins, asked, unwanted } = room();
    const failed = made.wait(request, 1_500, undefined);
    joins[0]!(busy);
    await Promise.all([clock.pass(2_000), expect(failed).rejects.toThrow('gave up')]);
    expect(asked).toHaveLength(1);
    asked[0]!([{ ttlMs: 30_000, fence: 1, granted: { nonce: 'n', token: 2 }, unsettled: false, places: ['7'] }]);
    await clock.pass(0);
    expect(unwanted).toEqual([request]);
    expect(made.size).toBe(0);
    await made.stop();
    expect(clock.timers).toBe(0);
  });
});
