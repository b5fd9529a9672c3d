import { describe, expect, it } from '@jest/globals';
import type { Clock, Link } from '../../redis/index.js';
import { RedisUnavailableError } from '../../redis/index.js';
import { Keyspace } from '../../redis/keyspace.js';
import { queueKeys } from '../store/queue.keys.js';
import { Publisher } from './publisher.js';
import { SendWindow } from './send-window.js';

const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('ten thousand publishes at once', () => {
  it('leave in order, a limited number at a time, and all of them, whatever becomes of each', async () => {
    const answers: ((fails: boolean) => void)[] = [];
    const sent: string[] = [];
    const send = (_command: string, args: string[]): Promise<string> =>
      new Promise((resolve, reject) => {
        sent.push(args[3] ?? '');
        answers.push((fails) => {
          if (fails) reject(new RedisUnavailableError('gone', 'not-sent'));
          else resolve('1-1');
        });
      });
    const clock = { wallMs: () => 0 } as Clock;
    const publisher = new Publisher({
      link: { send } as unknown as Link,
      clock,
      keyspace: new Keyspace(),
      inboxes: '',
      propagation: undefined,
      queues: new Map(),
      onDelayed: () => {},
    });
    const keys = queueKeys(new Keyspace(), 'tasks');
    const payloads = Array.from({ length: 10_000 }, (_, n) => String(n));
    const all = Promise.allSettled(payloads.map((payload) => publisher.one('tasks', keys, payload, {}, 'tasks')));
    await settled();
    expect(sent).toHaveLength(2_000);
    for (let answered = 0; answered < payloads.length;) {
      expect(sent.length - answered).toBeLessThanOrEqual(2_000);
      for (const answer of answers.splice(0)) {
        answer(answered % 3 === 0);
        answered++;
      }
      await settled();
    }
    expect(sent).toEqual(payloads);
    expect((await all).filter(({ status }) => status === 'rejected')).toHaveLength(3_334);
  });
});

describe('a window', () => {
  it('lets one in for each that leaves', () => {
    const window = new SendWindow();
    for (let n = 0; n < 2_000; n++) expect(window.enter()).toBe(true);
    expect(window.enter()).toBe(false);
    window.leave();
    expect([window.enter(), window.enter()]).toEqual([true, false]);
  });
});
