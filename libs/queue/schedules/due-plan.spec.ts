import { describe, expect, it } from '@jest/globals';
import { LATE_MS, MISSED_MOST, NEVER_MS, planDue } from './due-plan.js';
import { dueOf } from './instants.js';
import type { MissedInstants, Schedule } from './schedule.js';

const MINUTE = 60_000;
const at = (minutes: number): number => 1_800_000_000_000 + minutes * MINUTE;
const everyMinute = (missed: MissedInstants, over: Partial<Schedule> = {}): Schedule => ({
  ...{ id: 's', everyMs: MINUTE, timeZone: 'UTC', missed, jitterMs: 0 },
  ...over,
});
const state = (nextMs: number, behind = 0): { nextMs: number; behind: number } => ({ nextMs, behind });

describe.each(['skip', 'once', 'all'] as const)("with missed: '%s'", (missed) => {
  it('an instant in time is published, and the next one follows', () => {
    const plan = planDue(everyMinute(missed), state(at(0)), at(0), 100);
    expect(plan).toMatchObject({ instants: [at(0)], followingMs: at(1), dueMs: at(1), behind: 0, dropped: false });
    expect(plan.untilMs).toBe(missed === 'all' ? NEVER_MS : at(0) + LATE_MS);
  });

  it('instants up to a minute late are not missed', () => {
    const seconds = everyMinute(missed, { everyMs: 1_000 });
    const { instants, followingMs } = planDue(seconds, state(at(0)), at(0) + 3_500, 100);
    expect(instants).toEqual([0, 1, 2, 3].map((n) => at(0) + n * 1_000));
    expect(followingMs).toBe(at(0) + 4_000);
    expect(planDue(everyMinute(missed), state(at(0)), at(0) + LATE_MS, 100).instants[0]).toBe(at(0));
  });

  it('publishes at most so many at a time, and goes on where it stopped', () => {
    const seconds = everyMinute(missed, { everyMs: 1_000 });
    const first = planDue(seconds, state(at(0)), at(0) + 3_500, 3);
    expect(first).toMatchObject({ instants: [0, 1, 2].map((n) => at(0) + n * 1_000), followingMs: at(0) + 3_000 });
    expect(planDue(seconds, state(first.followingMs), at(0) + 3_500, 3).instants).toEqual([at(0) + 3_000]);
  });
});

describe('when all were down over some instants', () => {
  const hourly = (missed: MissedInstants): Schedule => everyMinute(missed, { everyMs: 60 * MINUTE });
  const down = at(5 * 60 + 30);

  it("'skip' drops them", () => {
    const plan = planDue(hourly('skip'), state(at(60)), down, 100);
    expect(plan).toMatchObject({ instants: [], followingMs: at(6 * 60), dropped: false, untilMs: NEVER_MS });
  });

  it("'once' publishes the first of them, for all", () => {
    const plan = planDue(hourly('once'), state(at(60)), down, 100);
    expect(plan).toMatchObject({ instants: [at(60)], followingMs: at(6 * 60), untilMs: NEVER_MS });
  });

  it("'all' publishes each, the oldest first", () => {
    const plan = planDue(hourly('all'), state(at(60)), down, 100);
    expect(plan).toMatchObject({ instants: [60, 120, 180, 240, 300].map(at), followingMs: at(6 * 60), behind: 0 });
    const part = planDue(hourly('all'), state(at(60)), down, 2);
    expect(part).toMatchObject({ instants: [at(60), at(120)], followingMs: at(180), behind: 2 });
  });

  it('one that is only late is published, and stands for the missed ones', () => {
    const now = at(5 * 60) + 5_000;
    expect(planDue(hourly('skip'), state(at(60)), now, 100).instants).toEqual([at(5 * 60)]);
    expect(planDue(hourly('once'), state(at(60)), now, 100).instants).toEqual([at(5 * 60)]);
    expect(planDue(hourly('once'), state(at(60)), now, 100).untilMs).toBe(at(5 * 60) + LATE_MS);
    expect(planDue(hourly('all'), state(at(60)), now, 100).instants).toHaveLength(5);
  });

  it("'all' gives up after 10,000, and says so", () => {
    const minutes = everyMinute('all');
    const last = planDue(minutes, state(at(0), MISSED_MOST - 3), at(20_000) + 1, 100);
    expect(last).toMatchObject({
      instants: [at(0), at(1), at(2)],
      followingMs: at(3),
      behind: MISSED_MOST,
      dropped: false,
    });
    const after = planDue(minutes, state(at(3), last.behind), at(20_000) + 1, 100);
    expect(after).toMatchObject({ behind: 0, dropped: true, followingMs: at(20_001) });
    expect(after.instants).toEqual([at(19_999) + MINUTE]);
  });
});

it('jitter is no lateness', () => {
  const schedule = everyMinute('skip', { everyMs: 3_600_000, jitterMs: 3_000_000 });
  const instant = at(600);
  const due = dueOf(schedule, instant);
  expect(due).toBeGreaterThan(instant);
  expect(planDue(schedule, state(instant), due, 10)).toMatchObject({ instants: [instant], untilMs: due + LATE_MS });
  expect(planDue(schedule, state(instant), due - 1, 10).instants).toEqual([]);
  expect(planDue(schedule, state(instant), due + LATE_MS, 10).instants).toEqual([instant]);
  expect(planDue(schedule, state(instant), due + LATE_MS + 1, 10).instants).not.toContain(instant);
});
