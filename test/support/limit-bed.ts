import fc from 'fast-check';
import { LIMIT, defineScript, lua } from 'nestjs-sluice/redis';
import { ScriptBed } from './script-bed.js';

/** One step on one limit, at a time that the test gives: `redis.call('TIME')` is the only thing that a script adds. */
const step = defineScript({
  name: 'test:limit',
  keys: ['key'],
  args: {
    now: 'number',
    kind: 'text',
    limit: 'number',
    span: 'number',
    x: 'number',
    y: 'number',
    what: 'text',
    calls: 'number',
    cost: 'number',
    wait: 'number',
    at: 'number',
    nonce: 'bytes',
  },
  lua: lua`
${LIMIT}
local s = openLimit(key, kind, limit, span, x, y)
if kind == 'p' then s.wait = wait end
local granted, due, after = 0, 0, 0
if what == 'take' then
  local known = traceOf(s, nonce)
  if known then return { math.min(calls, known / cost), 0, 0, unitsLeft(s), resetAfter(s) } end
  granted = roomFor(s, calls, cost)
  due = dueAfter(s, cost)
  if granted > 0 then
    chargeLimit(s, granted * cost)
    trace(s, nonce, granted * cost, granted == calls)
  end
  if granted > 0 or s.stepped then saveLimit(s) end
  if granted < calls then after = retryAfter(s, cost) end
elseif what == 'charge' then
  chargeLimit(s, cost)
  saveLimit(s)
elseif what == 'refund' then
  refundLimit(s, cost, at > 0 and at or nil, at)
  saveLimit(s)
elseif what == 'block' then
  s.blocked = at
  saveLimit(s)
end
-- Lifetimes are of the server's time, which is not the time of these tests.
if key == 'k' then redis.call('PERSIST', key) end
return { granted, due, after, unitsLeft(s), resetAfter(s) }
`,
  decode: (reply) => {
    const [granted = 0, due = 0, after = 0, left = 0, reset = 0] = reply as number[];
    return { granted, due, after, left, reset };
  },
});

export type Rule = { kind: 's' | 'b' | 'p' | 'f' | 'c'; limit: number; spanMs: number; x?: number; y?: number };
export type Call = {
  calls?: number;
  cost?: number;
  waitUs?: number;
  at?: number;
  what?: string;
  nonce?: string;
  key?: string;
};

export const BEGIN_US = 1_764_000_000_000_000;
let nonces = 0;

/** Limits of one spec file, at times that the tests give. */
export class LimitBed extends ScriptBed {
  constructor() {
    super();
    // A seeded fault makes many runs fail. Which is the simplest of them, nobody reads.
    fc.configureGlobal({ endOnFailure: process.env['SLUICE_UNTIL_MS'] !== undefined });
  }

  readonly run = (now: number, rule: Rule, call: Call = {}) => {
    const { kind, limit, spanMs, x = 0, y = 0 } = rule;
    const { calls = 1, cost = 1, waitUs = 0, at = 0, what = 'take', key = 'k' } = call;
    const nonce = Buffer.from((call.nonce ?? String(nonces++)).padEnd(8));
    const args = { now, kind, limit, span: spanMs * 1_000, x, y, what, calls, cost, wait: waitUs, at, nonce };
    return step.run(this.link, { keys: { key }, args });
  };
}

export const sliding = (limit: number, spanMs = 60_000): Rule => ({ kind: 's', limit, spanMs });
export const bucket = (limit: number, spanMs = 60_000, burst = limit): Rule => {
  return { kind: 'b', limit, spanMs, x: (spanMs * 1_000) / limit, y: burst };
};
export const pace = (limit: number, spanMs = 60_000): Rule => ({ ...bucket(limit, spanMs, 1), kind: 'p' });
export const fixed = (limit: number, spanMs = 60_000): Rule => ({ kind: 'f', limit, spanMs });

/** The most units that any window holds. Windows are half open: what is a whole span apart is in two of them. */
export function worst(admitted: readonly { at: number; units: number }[], spanMs: number): number {
  let most = 0;
  for (const { at } of admitted) {
    const inside = admitted.filter((other) => other.at <= at && other.at > at - spanMs * 1_000);
    most = Math.max(
      most,
      inside.reduce((sum, { units }) => sum + units, 0),
    );
  }
  return most;
}

/** Time that passes in µs, cost, and how far the clock is put first. */
export const moves = (spanMs: number, most: number, maxLength = 60) =>
  fc.array(
    fc.record({
      waitUs: fc.oneof(
        fc.constant(0),
        fc.integer({ min: 1, max: spanMs * 100 }),
        fc.integer({ max: spanMs * 1_100, min: 1 }),
      ),
      cost: fc.integer({ min: 1, max: most }),
      calls: fc.integer({ min: 1, max: 4 }),
      back: fc.oneof(
        { weight: 8, arbitrary: fc.constant(0) },
        { weight: 1, arbitrary: fc.integer({ min: 1, max: 3_600_000_000 }) },
      ),
    }),
    { minLength: 5, maxLength },
  );
