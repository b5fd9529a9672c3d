import { describe, expect, it } from '@jest/globals';
import { ManualClock } from '../../../test/support/manual-clock.js';
import { DeadlineQueue, instantOf } from '../../redis/index.js';
import { Lease, type LeaseGrant, type LeaseTerms } from './lease.js';

interface Request {
  atMs: number;
  ttlMs: number;
  generation: number;
  deadlineMs: number;
  answer: (held: boolean) => void;
  fail: () => void;
}

/** A lease of 3 000 ms, and a Redis that answers when told to. */
function lease(options: Partial<LeaseTerms & Omit<LeaseGrant, 'at'>> = {}) {
  const clock = new ManualClock();
  const requests: Request[] = [];
  const lost: string[] = [];
  const tooLong: number[] = [];
  const terms = { ttlMs: 3_000, renew: true, maxHoldMs: Infinity, ...options };
  const now = instantOf(clock);
  const grant = { token: 1, from: now, validMs: 3_000, at: now, claimed: true, ...options };
  const made = new Lease(clock, new DeadlineQueue(clock), terms, grant, {
    renew: (ttlMs, generation, deadlineMs) =>
      new Promise((resolve, reject) => {
        const fail = (): void => {
          reject(new Error('no answer'));
        };
        requests.push({ atMs: clock.monoMs(), ttlMs, generation, deadlineMs, answer: resolve, fail });
      }),
    lost: (why) => lost.push(why),
    heldTooLong: () => tooLong.push(clock.monoMs()),
  });
  return { clock, lease: made, requests, lost, tooLong };
}

describe('validity', () => {
  it('counts from the sending, less a thousandth', async () => {
    const { clock, lease: held, lost } = lease({ renew: false });
    expect(held.remainingMs).toBe(2_997);
    expect(held.expiresAtMs).toBe(clock.wallMs() + 2_997);
    await clock.pass(2_996);
    expect(held.remainingMs).toBe(1);
    expect(lost).toEqual([]);
    await clock.pass(1);
    expect(held.remainingMs).toBe(0);
    expect(lost).toEqual(['expired']);
    await clock.pass(10_000);
    expect(clock.timers).toBe(0);
  });

  it('is over when either clock says so', async () => {
    const slept = lease({ renew: false });
    slept.clock.step(3_000);
    expect(slept.lease.remainingMs).toBeLessThanOrEqual(0);
    // A sleeping machine stops the timers too: both clocks are looked at every second at least.
    await slept.clock.pass(1_000);
    expect(slept.lost).toEqual(['expired']);
    const setBack = lease({ renew: false });
    setBack.clock.step(-60_000);
    await setBack.clock.pass(2_997);
    expect(setBack.lost).toEqual(['expired']);
  });
});

describe('renewal', () => {
  it('comes at a third, counts from its sending, and goes on', async () => {
    const { clock, lease: held, requests, lost } = lease();
    await clock.pass(999);
    expect(requests).toHaveLength(0);
    await clock.pass(1);
    expect(requests).toMatchObject([{ atMs: 1_000, ttlMs: 3_000, deadlineMs: 1_997 }]);
    clock.jump(100);
    requests[0]!.answer(true);
    await clock.pass(0);
    expect(held.remainingMs).toBe(2_897);
    await clock.pass(1_000);
    expect(requests[1]).toMatchObject({ atMs: 2_100 });
    expect(lost).toEqual([]);
  });

  it('is asked for again until the validity ends, whatever hangs', async () => {
    const { clock, requests, lost } = lease();
    await clock.pass(1_000);
    requests[0]!.fail();
    await clock.pass(1_900);
    expect(requests.map(({ atMs }) => atMs)).toEqual([1000, 1200, 1400, 1600, 1800, 2000, 2200, 2400, 2600, 2800]);
    // The answer to one of them is enough.
    requests[3]!.answer(true);
    await clock.pass(1_000);
    expect(lost).toEqual([]);
    await clock.pass(10_000);
    expect(lost).toEqual(['expired']);
    const sent = requests.length;
    await clock.pass(10_000);
    expect(requests).toHaveLength(sent);
  });

  it('does not move the end back when answers come in another order', async () => {
    const { clock, lease: held, requests } = lease();
    await clock.pass(1_200);
    requests[1]!.answer(true);
    await clock.pass(0);
    requests[0]!.answer(true);
    await clock.pass(0);
    expect(held.remainingMs).toBe(2_997);
  });

  it('never brings back what was over', async () => {
    const { clock, lease: held, requests, lost } = lease();
    await clock.pass(1_000);
    // Blocked past the end: the answer is read before the timer fires.
    clock.jump(2_500);
    requests[0]!.answer(true);
    await clock.pass(0);
    expect(lost).toEqual(['expired']);
    expect(held.remainingMs).toBe(0);
    await clock.pass(5_000);
    expect(lost).toEqual(['expired']);
  });

  it('ends at once when Redis says that it is lost', async () => {
    const { clock, lease: held, requests, lost } = lease();
    await clock.pass(1_000);
    requests[0]!.answer(false);
    await clock.pass(0);
    expect(lost).toEqual(['taken']);
    expect(held.remainingMs).toBe(0);
    await clock.pass(10_000);
    expect(clock.timers).toBe(0);
  });

  it('is over with the end, and says nothing', async () => {
    const { clock, lease: held, requests, lost } = lease();
    await clock.pass(1_000);
    held.end();
    requests[0]!.answer(false);
    await clock.pass(10_000);
    expect(lost).toEqual([]);
    expect(requests).toHaveLength(1);
    await clock.pass(10_000);
    expect(clock.timers).toBe(0);
  });
});

describe('a provisional grant', () => {
  it('is claimed by the next timer, and again until it is answered', async () => {
    const { clock, lease: held, requests, lost } = lease({ claimed: false, validMs: 1_000, renew: false });
    expect(held.remainingMs).toBe(999);
    // Whoever waited for it goes first.
    expect(requests).toEqual([]);
    await clock.pass(1);
    expect(requests).toMatchObject([{ atMs: 1, ttlMs: 3_000, deadlineMs: 998 }]);
    await clock.pass(67);
    expect(requests).toHaveLength(2);
    requests[1]!.answer(true);
    await clock.pass(0);
    expect(held.remainingMs).toBe(2_997);
    await clock.pass(2_900);
    expect(requests).toHaveLength(2);
    expect(lost).toEqual([]);
  });

  it('is not claimed when it is let go of at once', async () => {
    const { clock, lease: held, requests, lost } = lease({ claimed: false, validMs: 1_000 });
    held.end();
    await clock.pass(5_000);
    expect([requests, lost]).toEqual([[], []]);
  });

  it('is claimed again within its own time, however long the lease is to be', async () => {
    const { clock, requests, lost } = lease({ claimed: false, validMs: 1_500, ttlMs: 30_000 });
    await clock.pass(1);
    // The socket died under the claim.
    requests[0]!.fail();
    await clock.pass(1_000);
    expect(requests.length).toBeGreaterThan(5);
    requests.at(-1)!.answer(true);
    await clock.pass(5_000);
    expect(lost).toEqual([]);
  });

  it('is lost when it is not claimed in time', async () => {
    const { clock, requests, lost } = lease({ claimed: false, validMs: 1_000 });
    await clock.pass(999);
    expect(lost).toEqual(['expired']);
    requests[0]!.answer(true);
    await clock.pass(0);
    expect(lost).toEqual(['expired']);
  });
});

describe('a longest time', () => {
  it('is told of once, and changes nothing', async () => {
    const { clock, lease: held, requests, lost, tooLong } = lease({ maxHoldMs: 500 });
    await clock.pass(499);
    expect(tooLong).toEqual([]);
    await clock.pass(501);
    expect(tooLong).toEqual([500]);
    requests[0]!.answer(true);
    await clock.pass(2_000);
    expect([tooLong, lost]).toEqual([[500], []]);
    expect(held.remainingMs).toBeGreaterThan(0);
  });
});

describe('extension', () => {
  it('counts once it is answered, and sets what renewals ask for', async () => {
    const { clock, lease: held, requests } = lease();
    const extended = held.extend(9_000);
    expect(held.remainingMs).toBe(2_997);
    requests[0]!.answer(true);
    expect(await extended).toBe(true);
    expect(held.remainingMs).toBe(8_991);
    await clock.pass(3_000);
    expect(requests[1]).toMatchObject({ ttlMs: 9_000, generation: 1 });
    const again = held.extend(6_000);
    expect(requests[2]).toMatchObject({ ttlMs: 6_000, generation: 2 });
    requests[2]!.answer(true);
    expect(await again).toBe(true);
  });

  it('counts from the sending when it shortens, whatever is answered', async () => {
    const { clock, lease: held, requests } = lease();
    await clock.pass(1_000);
    expect(requests).toHaveLength(1);
    const shortened = held.extend(300);
    expect(held.remainingMs).toBeCloseTo(299.7);
    // The renewal was sent before: its answer is of a lease that is over.
    requests[0]!.answer(true);
    await clock.pass(0);
    expect(held.remainingMs).toBeCloseTo(299.7);
    requests[1]!.fail();
    await expect(shortened).rejects.toThrow('no answer');
    expect(held.remainingMs).toBeCloseTo(299.7);
  });

  it('tells a loss', async () => {
    const { lease: held, requests, lost } = lease();
    const extended = held.extend(9_000);
    requests[0]!.answer(false);
    expect(await extended).toBe(false);
    expect(lost).toEqual(['taken']);
  });

  it('tells that it came too late', async () => {
    const { clock, lease: held, requests, lost } = lease();
    const extended = held.extend(9_000);
    await clock.pass(3_000);
    expect(lost).toEqual(['expired']);
    requests[0]!.answer(true);
    expect(await extended).toBe(false);
  });
});
