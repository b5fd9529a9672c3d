/** One process of a fleet that calls rate limits as it is told, and writes down what Redis decided, and when. */
import 'reflect-metadata';
import { appendFileSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { RateLimitService, SluiceLimitModule, defineRateLimit } from 'nestjs-sluice/limit';
import { SluiceRedisModule } from 'nestjs-sluice/redis';
import { serve } from '../support/app-host.js';
import { onDecided } from '../support/decision-times.js';
import type { Recorded } from '../support/limit-records.js';

const { REDIS_URL = '', RECORDS = '' } = process.env;

@Module({
  imports: [
    SluiceRedisModule.forRoot({ redis: { url: REDIS_URL } }),
    SluiceLimitModule.forRoot({ onUnavailable: 'deny' }),
  ],
})
class Caller {}

/** Two limits that count the same calls, and lapse together: their numbers differ only if a call was charged to one of them. */
const pair = defineRateLimit('pair', {
  limits: { ring: { limit: 60, perMs: 600_000 }, slots: { limit: 1_000, perMs: 600_000 } },
});
const brief = defineRateLimit('brief', { limit: 20, perMs: 1_000 });
const plan = defineRateLimit('plan', { limit: 60, perMs: 1_000 });
const paced = defineRateLimit('paced', { limit: 50, perMs: 1_000, mode: 'pace' });

const app = await NestFactory.createApplicationContext(Caller, { logger: false, abortOnError: false });
const limits = app.get(RateLimitService);
let last: Recorded | undefined;
onDecided(
  app,
  (record) => {
    last = record;
    if (record.units > 0) appendFileSync(RECORDS, `${JSON.stringify(record)}\n`);
  },
  { waitsMs: 120_000 },
);

/** A turn on the paced limit, in µs on the clock of the machine, which is the server's too. */
export interface Turn {
  readonly arrivedUs: number;
  readonly turnUs: number;
  readonly startedUs: number;
}

const nowUs = (): number => Date.now() * 1_000;

serve({
  ops: {
    /** Calls the pair of limits until this process dies. */
    floodPair: (key: string): void => {
      void (async () => {
        for (;;) {
          await limits.consume(pair, key, { cost: 1 + Math.floor(Math.random() * 3) });
          await pause(0);
        }
      })();
    },
    used: async (key: string): Promise<number[]> => {
      const decision = await limits.peek(pair, key);
      return decision.limits.map(({ limit, remaining }) => limit - remaining);
    },
    /** Calls with limits that change, for so long. */
    floodPlans: async (key: string, ms: number, plans: number[]): Promise<void> => {
      const endsMs = performance.now() + ms;
      while (performance.now() < endsMs) {
        const limit = plans[Math.floor(Math.random() * plans.length)] ?? 1;
        await limits.consume(plan, key, { cost: 1 + Math.floor(Math.random() * 2), limit });
        await pause(Math.random() * 4);
      }
    },
    /** Uses the brief limit up. When Redis decided, and after what time it says that there is room. */
    useUp: async (key: string, cost: number): Promise<{ atUs: number; retryAfterMs: number }> => {
      for (;;) {
        const { allowed, retryAfterMs } = await limits.consume(brief, key, { cost });
        if (!allowed) return { atUs: last?.atUs ?? 0, retryAfterMs };
      }
    },
    /** Asks until there is room again: when Redis refused last, and when it admitted. */
    askUntilAllowed: async (key: string, cost: number): Promise<{ refusedUs: number; allowedUs: number }> => {
      let refusedUs = 0;
      for (;;) {
        // Another number than that of the definition: a refusal is then not answered from memory.
        const { allowed } = await limits.consume(brief, key, { cost, limit: 20 });
        if (allowed) return { refusedUs, allowedUs: last?.atUs ?? 0 };
        refusedUs = last?.atUs ?? 0;
      }
    },
    /** So many turns, asked for one after the other. */
    turns: async (key: string, count: number): Promise<Turn[]> => {
      const taken: Promise<Turn>[] = [];
      for (let i = 0; i < count; i++) {
        const turn = limits.take(paced, key, { maxWaitMs: 60_000 });
        const before = last;
        while (last === before) await pause(1);
        const { atUs, dueUs } = last ?? { atUs: 0, dueUs: 0 };
        taken.push(turn.then(() => ({ arrivedUs: atUs, turnUs: atUs + dueUs, startedUs: nowUs() })));
      }
      return Promise.all(taken);
    },
  },
  stop: () => app.close(),
});
