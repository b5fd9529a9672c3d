import { describe, expect, it } from '@jest/globals';
import { setImmediate as turn } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { ManualClock } from '../../../test/support/manual-clock.js';
import { InFlight } from './in-flight.js';

setFlagsFromString('--expose-gc');
const gc = runInNewContext('gc') as () => void;

/** What a command holds: its reply, of any size. */
function sendAndSettle(inFlight: InFlight, deadlineMs: number): WeakRef<object> {
  const reply = { bytes: new Array<number>(1_000).fill(0) };
  const settle = inFlight.add(deadlineMs, () => {
    reply.bytes.length = 0;
  });
  expect(settle()).toBe(true);
  return new WeakRef(reply);
}

describe('what was answered', () => {
  it('is not kept, however many deadlines there are', async () => {
    const inFlight = new InFlight(new ManualClock());
    // A blocking read has another one each time.
    const replies = Array.from({ length: 100 }, (_, n) => sendAndSettle(inFlight, 5_000 + n));
    // What a WeakRef has shown is held until the turn is over.
    await turn();
    gc();
    expect(replies.filter((reply) => reply.deref() !== undefined)).toEqual([]);
    inFlight.close();
  });
});
