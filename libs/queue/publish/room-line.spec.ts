import { beforeEach, describe, expect, it } from '@jest/globals';
import { ManualClock } from '../../../test/support/manual-clock.js';
import { RoomLine } from './room-line.js';

let clock: ManualClock;
let line: RoomLine;
let looks: string[];
let room: number;
beforeEach(() => {
  clock = new ManualClock();
  line = new RoomLine(clock);
  looks = [];
  room = 0;
});

/** Waits, and takes room if it finds some. */
function wait(name: string, waitMs = 60_000, signal?: AbortSignal): Promise<string | undefined> {
  return line.wait(waitMs, signal, () => {
    looks.push(name);
    return Promise.resolve(room > 0 && room-- > 0 ? name : undefined);
  });
}

describe('a line of publishes', () => {
  it('has only its first one look, sooner at first, and every 500 ms later', async () => {
    const waiting = [wait('a'), wait('b')];
    await clock.pass(20);
    expect(looks).toEqual(['a']);
    await clock.pass(30);
    expect(looks).toEqual(['a', 'a']);
    await clock.pass(5_000);
    looks.length = 0;
    await clock.pass(5_000);
    expect(looks).toEqual(Array.from({ length: 10 }, () => 'a'));
    room = 2;
    await clock.pass(600);
    expect(await Promise.all(waiting)).toEqual(['a', 'b']);
    expect(line.isEmpty).toBe(true);
    expect(clock.timers).toBe(0);
  });

  it('lets the next one look at once when the first one has found room', async () => {
    const waiting = [wait('a'), wait('b'), wait('c')];
    room = 2;
    await clock.pass(20);
    expect(looks).toEqual(['a', 'b', 'c']);
    expect(await Promise.all(waiting.slice(0, 2))).toEqual(['a', 'b']);
    expect(line.isEmpty).toBe(false);
  });

  it('lets each wait for its own time', async () => {
    const [long, short] = [wait('long', 10_000), wait('short', 100)];
    await clock.pass(100);
    expect(await short).toBeUndefined();
    await clock.pass(9_900);
    expect(await long).toBeUndefined();
    expect(looks).not.toContain('short');
  });

  it('ends the wait of a signal at once, wherever it stands', async () => {
    const [first, second] = [new AbortController(), new AbortController()];
    const given = [wait('a', 60_000, first.signal), wait('b', 60_000, second.signal), wait('c')];
    const ended = Promise.allSettled(given.slice(0, 2));
    second.abort(new Error('b is not wanted'));
    first.abort(new Error('a is not wanted'));
    expect(await ended).toMatchObject([
      { reason: { message: 'a is not wanted' } },
      { reason: { message: 'b is not wanted' } },
    ]);
    room = 1;
    await clock.pass(600);
    expect(await given[2]).toBe('c');
    await expect(wait('d', 1, first.signal)).rejects.toThrow('a is not wanted');
    expect(line.isEmpty).toBe(true);
  });

  it('goes on when the look of one of them fails', async () => {
    const failing = line.wait(60_000, undefined, () => Promise.reject(new Error('gone')));
    const next = wait('next');
    const failed = expect(failing).rejects.toThrow('gone');
    room = 1;
    await clock.pass(20);
    await failed;
    expect(await next).toBe('next');
  });
});
