import { expect, it } from '@jest/globals';
import fc from 'fast-check';
import { BEGIN_US, moves } from '../../../test/support/limit-bed.js';
import type { LimitRule } from '../store/limit-rule.js';
import { Counter } from './counter.js';

/** A token bucket: a unit a second, and ten at once. */
const rule: LimitRule = { kind: 'b', limit: 60, spanUs: 60_000_000, x: 1_000_000, y: 10 };

function left(counter: Counter, nowUs: number): number {
  counter.pass(rule, nowUs);
  return counter.left(rule, nowUs);
}

it('gives back no more for two calls than if neither had been charged', () => {
  const counter = new Counter();
  counter.pass(rule, BEGIN_US);
  counter.charge(rule, 6, BEGIN_US);
  const now = BEGIN_US + 1_000_000;
  counter.pass(rule, now);
  counter.charge(rule, 5, now);
  counter.refund(rule, 3, BEGIN_US, 0);
  expect(left(counter, now)).toBe(3);
  // Without the first two calls, the third one would have found the bucket full.
  counter.refund(rule, 3, BEGIN_US, 0);
  expect(left(counter, now)).toBe(5);
});

it('never has more tokens after refunds than if their units had not been charged', () => {
  fc.assert(
    fc.property(moves(10_000, 4), fc.infiniteStream(fc.nat(5)), (steps, picks) => {
      const counter = new Counter();
      const charged: { at: number; units: number }[] = [];
      let now = BEGIN_US;
      for (const { waitUs, cost, calls } of steps) {
        now += waitUs;
        counter.pass(rule, now);
        const units = counter.room(rule, calls, cost, 0, now) * cost;
        counter.charge(rule, units, now);
        if (units > 0) charged.push({ at: now, units });
        const { value: pick } = picks.next() as { value: number };
        const [back] = pick < charged.length ? charged.splice(charged.length - 1 - pick, 1) : [];
        if (back === undefined) continue;
        now += 1_000 * pick;
        counter.pass(rule, now);
        counter.refund(rule, back.units, back.at, 0);
        let [lag, last] = [0, BEGIN_US];
        for (const { at, units: kept } of charged) {
          lag = Math.max(0, lag - (at - last)) + kept * 1_000_000;
          last = at;
        }
        expect(left(counter, now)).toBeLessThanOrEqual(10 - Math.max(0, lag - (now - last)) / 1_000_000);
      }
    }),
    { numRuns: 300 },
  );
});
