import { describe, expect, it } from '@jest/globals';
import { QueueScriptBed } from '../../../../test/support/queue-script-bed.js';
import { itAsDefaultUser, withoutRight } from '../../../../test/support/refused-commands.js';
import { ScheduleBed, stored } from '../../../../test/model/schedule-bed.js';
import { consumerName } from '../queue.keys.js';
import { orphanSchedulesScript } from './orphan-schedules.script.js';
import { runScheduleScript } from './run-schedule.script.js';
import { switchScheduleScript, type Switched } from './switch-schedule.script.js';

const bed = new QueueScriptBed('tasks');
const schedules = new ScheduleBed(bed);
const { declare, fire, state, setNext, tasks, lease, keys } = schedules;
const [OLD, NEW] = [consumerName('old:1:1'), consumerName('new:2:2')];
const HOUR = 3_600_000;
const nightly = stored('nightly', { everyMs: 5_000 }, '{"n":1}');
const { fingerprint } = nightly;
const other = stored('nightly', { everyMs: 7_000 }, '{"n":2}');

/** A stored schedule whose next instant is a second ago. */
async function due(): Promise<{ nowMs: number; nextMs: number }> {
  const nowMs = await bed.serverMs();
  await declare([nightly], { firstMs: nowMs + HOUR });
  const nextMs = nowMs - 1_000;
  await setNext(nextMs);
  return { nowMs, nextMs };
}

describe('fire', () => {
  it('publishes an instant and stores the next one, in one step, and tells what is due next', async () => {
    const { nowMs, nextMs } = await due();
    const followingMs = nowMs + 4_000;
    expect((await fire()).heads).toEqual([
      { id: 'nightly', fingerprint, nextMs, dueMs: nextMs, behind: 0, spec: nightly.spec },
    ]);
    const { counts, heads } = await fire([{ fingerprint, nextMs, followingMs, instants: [nextMs] }]);
    expect(counts).toEqual([1]);
    expect(heads).toMatchObject([{ id: 'nightly', nextMs: followingMs, dueMs: followingMs }]);
    expect(await bed.entries(keys.stream)).toMatchObject([
      { payload: '{"n":1}', retry_count: '0', meta: JSON.stringify({ id: `nightly@${nextMs}` }) },
    ]);
    expect(await state()).toMatchObject({ nextMs: followingMs, dueMs: followingMs, lastMs: nextMs });
    expect(await bed.admin.zcard(keys.index)).toBe(1);
  });

  it('changes nothing the second time, and with what is out of date', async () => {
    const { nowMs, nextMs } = await due();
    const call = { fingerprint, nextMs, followingMs: nowMs + 4_000, instants: [nextMs] };
    const refused = [
      { ...call, fingerprint: other.fingerprint },
      { ...call, nextMs: nextMs - 5_000 },
      { ...call, followingMs: nextMs },
      { ...call, untilMs: nowMs - 1 },
      { ...call, id: 'no such' },
    ];
    expect((await fire(refused)).counts).toEqual([-1, -1, -1, -1, -1]);
    expect((await fire([call, call])).counts).toEqual([1, -1]);
    expect((await fire([call])).counts).toEqual([-1]);
    expect(await tasks()).toEqual([`nightly@${nextMs}`]);
  });

  it('publishes nothing before it is due by the server clock, and nothing of a paused schedule', async () => {
    const nowMs = await bed.serverMs();
    const nextMs = nowMs + HOUR;
    await declare([nightly], { firstMs: nextMs });
    const call = { fingerprint, nextMs, followingMs: nextMs + HOUR, instants: [nextMs] };
    expect((await fire([call])).counts).toEqual([-1]);
    await setNext(nowMs - 1);
    await turn('pause');
    expect((await fire([{ ...call, nextMs: nowMs - 1, instants: [nowMs - 1] }])).counts).toEqual([-1]);
    expect((await fire()).heads).toEqual([]);
    expect(await tasks()).toEqual([]);
  });

  it('drops instants that the caller says are missed, and publishes several at once', async () => {
    const { nowMs, nextMs } = await due();
    const followingMs = nowMs - 500;
    expect((await fire([{ fingerprint, nextMs, followingMs, instants: [], behind: 7 }])).counts).toEqual([0]);
    expect((await fire()).heads).toMatchObject([{ behind: 7, nextMs: followingMs }]);
    const instants = [nowMs - 500, nowMs - 400, nowMs - 300];
    expect((await fire([{ fingerprint, nextMs: followingMs, followingMs: nowMs + HOUR, instants }])).counts).toEqual([
      3,
    ]);
    expect(await tasks()).toEqual(instants.map((ms) => `nightly@${ms}`));
    expect(await state()).toMatchObject({ lastMs: nowMs - 300, nextMs: nowMs + HOUR });
  });

  it('publishes some megabytes at a time, and keeps the rest', async () => {
    const nowMs = await bed.serverMs();
    const large = stored('nightly', { everyMs: 1_000 }, JSON.stringify('x'.repeat(1_500_000)));
    await declare([large], { firstMs: nowMs + HOUR });
    await setNext(nowMs - 5_000);
    const instants = [5, 4, 3, 2, 1].map((n) => nowMs - n * 1_000);
    const call = { fingerprint: large.fingerprint, nextMs: nowMs - 5_000, followingMs: nowMs + HOUR, instants };
    expect((await fire([call])).counts).toEqual([3]);
    expect(await state()).toMatchObject({ nextMs: nowMs - 2_000, lastMs: nowMs - 3_000 });
    expect((await fire([{ ...call, nextMs: nowMs - 2_000, instants: instants.slice(3) }])).counts).toEqual([2]);
    expect(await tasks()).toEqual(instants.map((ms) => `nightly@${ms}`));
  });

  itAsDefaultUser.each(['xadd', 'hset', 'zadd'])('is refused as a whole for a user without %s', async (command) => {
    const { nowMs, nextMs } = await due();
    const call = { fingerprint, nextMs, followingMs: nowMs + HOUR, instants: [nextMs] };
    await withoutRight(bed.admin, command, () => expect(fire([call])).rejects.toThrow(command.toUpperCase()));
    expect(await tasks()).toEqual([]);
    expect((await fire([call])).counts).toEqual([1]);
    expect(await tasks()).toEqual([`nightly@${nextMs}`]);
  });

  it('is refused as a whole by a full server: the instant stays', async () => {
    const { nowMs, nextMs } = await due();
    const call = { fingerprint, nextMs, followingMs: nowMs + HOUR, instants: [nextMs] };
    await bed.admin.config('SET', 'maxmemory', '1');
    try {
      await expect(fire([call])).rejects.toThrow('OOM');
    } finally {
      await bed.admin.config('SET', 'maxmemory', '0');
    }
    expect((await fire([call])).counts).toEqual([1]);
  });

  it('leaves keys of another type, and data of a newer release, as they are', async () => {
    const { nowMs, nextMs } = await due();
    const call = { fingerprint, nextMs, followingMs: nowMs + HOUR, instants: [nextMs] };
    await bed.admin.hset(keys.uses, 'lanes', '9.0.0');
    await expect(fire([call])).rejects.toMatchObject({ code: 'SLUICE_NEWER_DATA' });
    await bed.admin.del(keys.uses, keys.stream);
    await bed.admin.set(keys.stream, 'text');
    await expect(fire([call])).rejects.toThrow('WRONGTYPE');
    await bed.admin.del(keys.stream);
    expect(await state()).toMatchObject({ nextMs });
    expect((await fire([call])).counts).toEqual([1]);
  });

  it('forgets what is not readable, and goes on with the others', async () => {
    const { nextMs } = await due();
    for (const [i, text] of [
      '',
      'x',
      `${fingerprint} 1 1`,
      `f ${'9'.repeat(400)} 1 0 0 0 0 0 -`,
      `f 1 1 0 0 0 0 0 ${'x'.repeat(3_000)}`,
    ].entries()) {
      await bed.admin.hset(keys.states, `odd-${i}`, text);
      await bed.admin.zadd(keys.due, 1, `odd-${i}`);
    }
    await bed.admin.zadd(keys.due, 1, 'gone');
    expect((await fire()).heads).toMatchObject([{ id: 'nightly', nextMs }]);
    expect(await bed.admin.zrange(keys.due, '0', '-1')).toEqual(['nightly']);
  });
});

describe('declare', () => {
  itAsDefaultUser('stores nothing for a user without zadd: it would never be due', async () => {
    const firstMs = (await bed.serverMs()) + HOUR;
    await withoutRight(bed.admin, 'zadd', () => expect(declare([nightly], { firstMs })).rejects.toThrow('ZADD'));
    expect(await bed.admin.keys('*schedule*')).toEqual([]);
  });

  it('asks for the first instant, stores it, and leaves an equal schedule as it is', async () => {
    const nowMs = await bed.serverMs();
    expect((await declare([nightly])).declared).toEqual([{ state: 'unset', lastMs: 0, nextMs: 0 }]);
    expect((await declare([nightly], { firstMs: nowMs - 1 })).declared[0]).toMatchObject({ state: 'unset' });
    expect(await state()).toBeUndefined();
    expect((await declare([nightly], { firstMs: nowMs + HOUR })).declared[0]).toMatchObject({ state: 'written' });
    const [before] = [await bed.admin.hget(keys.states, 'nightly')];
    expect((await declare([nightly], { firstMs: nowMs + 2 * HOUR })).declared[0]).toMatchObject({
      state: 'same',
      nextMs: nowMs + HOUR,
    });
    expect(await bed.admin.hget(keys.states, 'nightly')).toBe(before);
  });

  it('a changed spec replaces that of a process that is dead or started earlier, and no other', async () => {
    const firstMs = (await bed.serverMs()) + HOUR;
    await Promise.all([lease(OLD), lease(NEW)]);
    await declare([nightly], { firstMs, consumer: OLD, upMs: 60_000 });
    expect((await declare([other], { firstMs, consumer: NEW, upMs: 30_000 })).declared[0]).toMatchObject({
      state: 'written',
    });
    expect((await declare([nightly], { firstMs, consumer: OLD, upMs: 60_000 })).declared[0]).toMatchObject({
      state: 'declared',
    });
    expect(await state()).toMatchObject({ by: NEW });
    await lease(NEW, false);
    expect((await declare([nightly], { firstMs, consumer: OLD, upMs: 60_000 })).declared[0]).toMatchObject({
      state: 'written',
    });
    expect(await state()).toMatchObject({ by: OLD });
  });

  it('a caller of the API replaces what no living process declares, and the last one stands', async () => {
    const firstMs = (await bed.serverMs()) + HOUR;
    await declare([nightly], { firstMs });
    expect((await declare([other], { firstMs })).declared[0]).toMatchObject({ state: 'written' });
    await lease(NEW);
    expect((await declare([nightly], { firstMs, consumer: NEW })).declared[0]).toMatchObject({ state: 'written' });
    expect((await declare([other], { firstMs })).declared[0]).toMatchObject({ state: 'declared' });
    await lease(NEW, false);
    expect((await declare([other], { firstMs })).declared[0]).toMatchObject({ state: 'written' });
  });

  it('a process takes over an equal schedule whose process is dead, and only then', async () => {
    const firstMs = (await bed.serverMs()) + HOUR;
    await Promise.all([lease(OLD), lease(NEW)]);
    await declare([nightly], { firstMs, consumer: OLD });
    await declare([nightly], { consumer: NEW });
    expect(await state()).toMatchObject({ by: OLD });
    await lease(OLD, false);
    expect((await declare([nightly], { consumer: NEW })).declared[0]).toMatchObject({ state: 'same' });
    expect(await state()).toMatchObject({ by: NEW, nextMs: firstMs });
  });

  it('no instant up to the last published one is published again, whatever the spec, the clock or a removal', async () => {
    const nowMs = await bed.serverMs();
    await declare([nightly], { firstMs: nowMs + HOUR });
    await setNext(nowMs + 3 * HOUR, { lastMs: nowMs + 2 * HOUR });
    expect((await declare([other], { firstMs: nowMs + HOUR })).declared[0]).toEqual({
      ...{ state: 'unset', lastMs: nowMs + 2 * HOUR, nextMs: nowMs + 3 * HOUR },
    });
    expect(await turn('remove')).toBe('done');
    expect((await declare([other], { firstMs: nowMs + HOUR })).declared[0]).toMatchObject({
      state: 'unset',
      lastMs: nowMs + 2 * HOUR,
    });
    expect((await declare([other], { firstMs: nowMs + 3 * HOUR })).declared[0]).toMatchObject({ state: 'written' });
  });

  it('an instant of the old spec that is due at the moment of the change is published, with the old payload', async () => {
    const { nowMs, nextMs } = await due();
    await declare([other], { firstMs: nowMs + HOUR });
    expect(await tasks()).toEqual([`nightly@${nextMs}`]);
    expect(await bed.entries(keys.stream)).toMatchObject([{ payload: '{"n":1}' }]);
    expect(await state()).toMatchObject({ lastMs: nextMs, nextMs: nowMs + HOUR });
    // One that was missed is not.
    await setNext(nowMs - 2 * HOUR);
    await declare([nightly], { firstMs: nowMs + HOUR });
    expect(await tasks()).toHaveLength(1);
  });

  it('a change keeps the pause, and what was lost beside the state is put back', async () => {
    const firstMs = (await bed.serverMs()) + HOUR;
    await declare([nightly], { firstMs });
    await turn('pause');
    await declare([other], { firstMs });
    expect(await state()).toMatchObject({ paused: true });
    expect(await bed.admin.zcard(keys.due)).toBe(0);
    await turn('resume');
    await bed.admin.del(keys.due);
    await declare([other]);
    expect(await bed.admin.zrange(keys.due, '0', '-1', 'WITHSCORES')).toEqual(['nightly', String(firstMs)]);
    await bed.admin.del(keys.schedules);
    expect((await declare([other])).declared[0]).toMatchObject({ state: 'unset' });
  });
});

async function turn(action: 'pause' | 'resume' | 'remove'): Promise<Switched> {
  const removed = `{tasks}:~schedule-last:nightly`;
  return switchScheduleScript.run(bed.link, {
    keys: { ...keys, removed },
    args: { action, id: 'nightly', inboxes: '' },
  });
}

describe('pause, resume, remove', () => {
  itAsDefaultUser('change nothing for a user without zadd: a schedule that is resumed is due', async () => {
    await due();
    await turn('pause');
    await withoutRight(bed.admin, 'zadd', () => expect(turn('resume')).rejects.toThrow('ZADD'));
    expect(await turn('resume')).toBe('done');
    expect((await fire()).heads).toHaveLength(1);
  });

  it('change a schedule once, and keep its next instant', async () => {
    const { nextMs } = await due();
    expect([await turn('resume'), await turn('pause'), await turn('pause')]).toEqual([
      'unchanged',
      'done',
      'unchanged',
    ]);
    expect(await state()).toMatchObject({ paused: true, nextMs });
    expect([await turn('resume'), await turn('resume')]).toEqual(['done', 'unchanged']);
    expect(await bed.admin.zscore(keys.due, 'nightly')).toBe(String(nextMs));
    expect([await turn('remove'), await turn('remove'), await turn('pause')]).toEqual(['done', 'unknown', 'unknown']);
    expect(await bed.admin.exists(keys.schedules, keys.states, keys.due)).toBe(0);
    expect(await bed.admin.pttl('{tasks}:~schedule-last:nightly')).toBeGreaterThan(0);
  });

  it('do not remove what a living process declares', async () => {
    await lease(NEW);
    await declare([nightly], { firstMs: (await bed.serverMs()) + HOUR, consumer: NEW });
    expect(await turn('remove')).toBe('declared');
    await lease(NEW, false);
    expect(await turn('remove')).toBe('done');
  });
});

it('run publishes a task at once, and leaves the instants as they are', async () => {
  await due();
  const before = await state();
  expect(await runScheduleScript.run(bed.link, { keys, args: { id: 'nightly', task: 'nightly@now.1' } })).toBe(true);
  expect(await runScheduleScript.run(bed.link, { keys, args: { id: 'none', task: 'none@now.1' } })).toBe(false);
  expect(await tasks()).toEqual(['nightly@now.1']);
  expect(await state()).toEqual(before);
});

it('an orphan is noted, then reported, then paused; a process that declares it ends that', async () => {
  const look = (pauseAfterMs: number): ReturnType<typeof orphanSchedulesScript.run> =>
    orphanSchedulesScript.run(bed.link, { keys, args: { reportAfterMs: HOUR, pauseAfterMs } });
  const age = async (): Promise<void> => {
    const text = (await bed.admin.hget(keys.states, 'nightly'))!.split(' ');
    text[7] = String(Number(text[7]) - 2 * HOUR);
    await bed.admin.hset(keys.states, 'nightly', text.join(' '));
  };
  const firstMs = (await bed.serverMs()) + HOUR;
  await lease(OLD, false);
  await declare([nightly, stored('by-hand', { everyMs: 1_000 })], { firstMs });
  await declare([nightly], { firstMs, consumer: OLD });
  expect(await state()).toMatchObject({ by: OLD });
  await declare([other], { firstMs, consumer: OLD });
  expect(await look(-1)).toEqual({ count: 0, ids: [], paused: [] });
  await age();
  expect(await look(-1)).toEqual({ count: 1, ids: ['nightly'], paused: [] });
  await lease(NEW);
  await declare([other], { consumer: NEW });
  expect(await look(0)).toEqual({ count: 0, ids: [], paused: [] });
  await lease(NEW, false);
  expect(await look(HOUR)).toMatchObject({ paused: [] });
  // Noted a moment ago: not yet for an hour.
  expect(await look(HOUR)).toMatchObject({ paused: [] });
  await age();
  expect(await look(HOUR)).toEqual({ count: 0, ids: [], paused: ['nightly'] });
  expect(await state()).toMatchObject({ paused: true });
});
