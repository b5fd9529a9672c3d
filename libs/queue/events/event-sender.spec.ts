import { beforeEach, describe, expect, it } from '@jest/globals';
import { ManualClock } from '../../../test/support/manual-clock.js';
import { INBOX_MAX_BYTES, RedisUnavailableError, unframe, type Link } from '../../redis/index.js';
import { EventSender } from './event-sender.js';
import { eventsIn, type QueueEvent } from './queue-event.js';

let clock: ManualClock;
let messages: Buffer[];
let isDown: boolean;
let sender: EventSender;
beforeEach(() => {
  clock = new ManualClock();
  messages = [];
  isDown = false;
  const send = (_command: string, [, message]: [string, Buffer]): Promise<unknown> => {
    if (isDown) return Promise.reject(new RedisUnavailableError('down', 'not-sent'));
    messages.push(message);
    return Promise.resolve(1);
  };
  sender = new EventSender({
    ...{ link: { send } as unknown as Pick<Link, 'send'>, clock, channel: 'c', observed: 'o' },
    about: { queue: 'tasks', group: 'g', process: 'p' },
  });
});

const told = (): QueueEvent[] => messages.flatMap((message) => eventsIn('tasks', unframe(message)?.[2] ?? ''));
const cancelled = (n: number): void => {
  for (let i = 0; i < n; i++) sender.add({ type: 'cancelled', id: `${i}` });
};

describe('EventSender', () => {
  it('makes and sends nothing while nobody listens', async () => {
    cancelled(3);
    sender.progress('1', '1');
    await clock.pass(1_000);
    expect([messages, clock.timers]).toEqual([[], 0]);
  });

  it('sends what happens within 50 ms with one message, the first at once', async () => {
    sender.observed(10_000);
    cancelled(3);
    await clock.pass(0);
    expect(messages).toHaveLength(1);
    for (let i = 0; i < 49; i++) {
      cancelled(1);
      await clock.pass(1);
    }
    expect(messages).toHaveLength(1);
    await clock.pass(50);
    expect(messages).toHaveLength(2);
    expect(told()).toHaveLength(3 + 49);
    expect(told()[0]).toEqual({
      ...{ type: 'cancelled', queue: 'tasks', group: 'g', process: 'p', id: '0' },
      at: new Date(1_800_000_000_000),
    });
  });

  it('ends when Redis has not said for the time that somebody listens', async () => {
    sender.observed(100);
    await clock.pass(99);
    cancelled(1);
    await clock.pass(50);
    cancelled(1);
    await clock.pass(1_000);
    expect(told().length).toBeLessThanOrEqual(1);
    expect(sender.isOn).toBe(false);
  });

  it('sends only the newest progress of a task, in its order', async () => {
    sender.observed(10_000);
    sender.progress('a', '1');
    sender.progress('b', '{"x":1}');
    sender.progress('a', '2');
    sender.add({ type: 'completed', id: 'a' });
    sender.progress('a', '3');
    await clock.pass(0);
    const shown = told().map((event) => [event.type, 'id' in event && event.id, 'value' in event && event.value]);
    expect(shown).toEqual([
      ['progress', 'a', 2],
      ['progress', 'b', { x: 1 }],
      ['completed', 'a', false],
      ['progress', 'a', 3],
    ]);
    for (const id of ['c', 'd']) sender.add({ type: 'cancelled', id });
    sender.progress('b', '4');
    await clock.pass(50);
    expect(told().slice(4)).toMatchObject([
      { type: 'cancelled' },
      { type: 'cancelled' },
      { type: 'progress', value: 4 },
    ]);
  });

  it('keeps at most 1,000 events, and tells how many more there were', async () => {
    sender.observed(10_000);
    cancelled(1_250);
    await clock.pass(0);
    expect(told()[0]).toMatchObject({ type: 'gap', queue: 'tasks', missed: 250 });
    expect(told()).toHaveLength(1_001);
    cancelled(1);
    await clock.pass(50);
    expect(told().filter(({ type }) => type === 'gap')).toHaveLength(1);
  });

  it('tells with the next message what could not be sent', async () => {
    sender.observed(10_000);
    isDown = true;
    cancelled(2);
    await clock.pass(50);
    isDown = false;
    cancelled(1);
    await clock.pass(50);
    expect(told()).toMatchObject([{ type: 'gap', missed: 2 }, { type: 'cancelled' }]);
  });

  it('tells a gap when Redis could not be asked for so long that nothing was noted', async () => {
    sender.observed(100);
    await clock.pass(200);
    cancelled(1);
    sender.observed(100);
    cancelled(1);
    await clock.pass(0);
    expect(told()).toMatchObject([{ type: 'gap', missed: 1 }, { type: 'cancelled' }]);
  });

  it('tells no gap to a listener who comes later', async () => {
    sender.observed(100);
    isDown = true;
    cancelled(2);
    await clock.pass(200);
    isDown = false;
    sender.observed(0);
    sender.observed(100);
    cancelled(1);
    await clock.pass(0);
    expect(told()).toMatchObject([{ type: 'cancelled' }]);
  });

  it('makes messages of at most 64 kB', async () => {
    sender.observed(10_000);
    for (let i = 0; i < 100; i++) sender.progress(`${i}`, JSON.stringify('ü'.repeat(2_000)));
    await clock.pass(0);
    expect(messages.length).toBeGreaterThan(5);
    for (const message of messages) expect(message.length).toBeLessThanOrEqual(INBOX_MAX_BYTES);
    expect(told()).toHaveLength(100);
  });

  it('sends what waits at once when the app stops', () => {
    sender.observed(10_000);
    cancelled(2);
    sender.flush();
    expect(told()).toHaveLength(2);
    expect(clock.timers).toBe(0);
  });
});
