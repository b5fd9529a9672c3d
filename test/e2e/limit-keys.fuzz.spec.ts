import { randomInt } from 'node:crypto';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { Test, type TestingModule } from '@nestjs/testing';
import fc from 'fast-check';
import { Redis } from 'ioredis';
import { RateLimitService, SluiceModule, defineRateLimit, isSluiceError, type RateLimitDecision } from 'nestjs-sluice';
import { startRedis, type RedisServer } from 'nestjs-sluice/testing';

/**
 * Random bytes, broken states and keys of the wrong type where the counters of rate limits are, and random text as subjects. Every
 * call is answered with sound numbers or fails with a Sluice error, and when the key is gone, the limit is as new.
 */
const seed = Number(process.env['FUZZ_SEED'] ?? randomInt(2 ** 31));

/** Units that fit when nothing was charged. */
const ROOM: Readonly<Record<string, number>> = { slots: 500, wide: 100_000, paced: 1 };

const DEFINITIONS = [
  defineRateLimit('ring', { limit: 5, perMs: 60_000 }),
  defineRateLimit('slots', { limit: 500, perMs: 60_000 }),
  defineRateLimit('wide', { limit: 100_000, perMs: 60_000 }),
  defineRateLimit('bucket', { limit: 5, perMs: 60_000, algorithm: 'bucket' }),
  defineRateLimit('fixed', { limit: 5, perMs: 60_000, algorithm: 'fixed' }),
  defineRateLimit('calendar', { limit: 5, window: 'day', timeZone: 'UTC' }),
  defineRateLimit('paced', { limit: 5, perMs: 60_000, mode: 'pace' }),
];

let redis: RedisServer;
let admin: Redis;
let app: TestingModule;
let limits: RateLimitService;
const unhandled: unknown[] = [];
const noteUnhandled = (reason: unknown): void => void unhandled.push(reason);
beforeAll(async () => {
  process.on('unhandledRejection', noteUnhandled);
  redis = await startRedis();
  admin = new Redis(redis.url);
  const module = SluiceModule.forRoot({ redis: { url: redis.url }, features: ['limit'] });
  app = await (
    await Test.createTestingModule({ imports: [module] })
      .setLogger({ log: () => {}, error: () => {}, warn: () => {} })
      .compile()
  ).init();
  limits = app.get(RateLimitService);
});
beforeEach(() => admin.flushall());
afterEach(() => {
  expect(unhandled).toEqual([]);
});
afterAll(async () => {
  await app.close();
  admin.disconnect();
  await redis.stop();
  process.off('unhandledRejection', noteUnhandled);
});

const bytes = fc.uint8Array({ maxLength: 200 }).map((some) => Buffer.from(some));
const sample = <T>(arbitrary: fc.Arbitrary<T>, numRuns: number): T[] => fc.sample(arbitrary, { seed, numRuns });

/** The key of the limit on this subject, which has to be there. */
async function keyOf(name: string): Promise<string> {
  const [key, ...others] = await admin.keys(`{rl:*}:${name}`);
  expect(others).toEqual([]);
  return key!;
}

/** The decision, or undefined if the call failed with an error of Sluice. Any other error is one of this test. */
async function tried<T>(call: Promise<T>): Promise<T | undefined> {
  try {
    return await call;
  } catch (error) {
    if (!isSluiceError(error)) throw error;
    return undefined;
  }
}

function expectSound(decision: RateLimitDecision | undefined, at: string): void {
  if (decision === undefined) return;
  const { remaining, resetMs, retryAfterMs, limit } = decision;
  for (const [name, value] of Object.entries({ remaining, resetMs, retryAfterMs })) {
    if (!(value >= 0)) throw new Error(`${at}: ${name} is ${value}`);
  }
  if (remaining > limit) throw new Error(`${at}: remaining is ${remaining} of ${limit}`);
}

/** Uses the limit in every way while its key is broken, and again after it. */
async function use(
  definition: (typeof DEFINITIONS)[number],
  subject: string,
  plant: (key: string) => Promise<unknown>,
) {
  const at = `${definition.name} on ${JSON.stringify(subject)}`;
  await limits.consume(definition, subject);
  const key = await keyOf(definition.name);
  await plant(key);
  const paced = definition.name === 'paced';
  expectSound(await tried(limits.peek(definition, subject)), at);
  expectSound(await tried(limits.consume(definition, subject)), at);
  const reservation = await tried(limits.reserve(definition, subject, paced ? 1 : 2));
  expectSound(reservation, at);
  if (reservation !== undefined) await tried(reservation.settle(paced ? 0 : 1));
  await tried(limits.reward(definition, subject, 1));
  await tried(limits.block(definition, subject, 5));
  expectSound(await tried(limits.consume(definition, subject)), at);
  if ((await admin.exists(key)) === 1 && (await admin.type(key)) === 'string') {
    // What was written is gone one day.
    expect(await admin.pttl(key)).not.toBe(-1);
  }
  await limits.reset(definition, subject);
  expect(await limits.peek(definition, subject)).toMatchObject({ remaining: ROOM[definition.name] ?? 5 });
  await limits.reset(definition, subject);
  expect(await admin.keys('*')).toEqual([]);
}

describe.each(DEFINITIONS.map((definition) => [definition.name, definition] as const))(
  `the counter of a limit (FUZZ_SEED=${seed}): %s`,
  (_, definition) => {
    it('may be random bytes', async () => {
      for (const [i, some] of sample(bytes, 12).entries())
        await use(definition, `s${i}`, (key) => admin.set(key, some));
    });

    it('may be random bytes behind the letter of any state, and behind a block', async () => {
      const letters = fc.constantFrom('r', 's', 'S', 't', 'f', '!', '!r', '!f');
      for (const [i, [letter, some]] of sample(fc.tuple(letters, bytes), 20).entries()) {
        await use(definition, `s${i}`, (key) => admin.set(key, Buffer.concat([Buffer.from(letter), some])));
      }
    });

    it('may be a state with some bytes changed, cut off or added', async () => {
      const edits = fc.record({
        at: fc.array(fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 })), { maxLength: 4 }),
        keep: fc.option(fc.nat(), { freq: 3 }),
        more: fc.uint8Array({ maxLength: 8 }),
      });
      for (const [i, { at, keep, more }] of sample(edits, 20).entries()) {
        await use(definition, `s${i}`, async (key) => {
          const state = (await admin.getBuffer(key))!;
          for (const [place, value] of at) state[place % state.length] = value;
          const cut = keep === null ? state : state.subarray(0, keep % (state.length + 1));
          await admin.set(key, Buffer.concat([cut, Buffer.from(more)]));
        });
      }
    });

    it.each(['list', 'hash', 'zset', 'stream'])('may be a %s', async (type) => {
      await use(definition, type, async (key) => {
        await admin.del(key);
        if (type === 'list') await admin.rpush(key, 'x');
        if (type === 'hash') await admin.hset(key, 'x', 'y');
        if (type === 'zset') await admin.zadd(key, '1', 'x');
        if (type === 'stream') await admin.xadd(key, '*', 'x', 'y');
      });
    });
  },
);

it(`the subject of a limit may be any text (FUZZ_SEED=${seed})`, async () => {
  const [definition] = DEFINITIONS;
  const subjects = sample(fc.oneof(fc.string({ unit: 'binary' }), fc.string({ unit: 'grapheme' })), 40);
  for (const subject of new Set(subjects)) {
    const decision = await tried(limits.consume(definition!, subject));
    if (decision === undefined) expect(subject === '' || /\p{Surrogate}/u.test(subject)).toBe(true);
    else expect([subject, decision.remaining]).toEqual([subject, 4]);
  }
});
