/** One process of a fleet that uses up rate limits, and writes down what Redis decided, and when. */
import 'reflect-metadata';
import { appendFileSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { RateLimitService, SluiceLimitModule, defineRateLimit } from 'nestjs-sluice/limit';
import { SluiceRedisModule } from 'nestjs-sluice/redis';
import { serve } from '../support/app-host.js';
import { LIMITS, type Flooded, type Recorded } from '../support/limit-records.js';

const { REDIS_URL = '', RECORDS = '' } = process.env;

@Module({
  imports: [
    SluiceRedisModule.forRoot({ redis: { url: REDIS_URL } }),
    // Nothing that this process decides by itself is written down.
    SluiceLimitModule.forRoot({ onUnavailable: 'deny' }),
  ],
})
class Worker {}

interface Reply {
  readonly nowUs: number;
  readonly isRepeat: boolean;
  readonly runs?: readonly { readonly granted: number }[];
}

interface Store {
  consume: (request: { keys: string[]; runs: { cost: number }[] }, deadlineMs: number) => Promise<Reply>;
}

const app = await NestFactory.createApplicationContext(Worker, { logger: false, abortOnError: false });
const limits = app.get(RateLimitService);
// The times of decisions are not part of the answers, so they are read where Redis answers.
const store = app.get<Store>('sluice:limit-store');
const consume = store.consume.bind(store);
store.consume = async (request, deadlineMs) => {
  const reply = await consume(request, deadlineMs);
  const units = request.runs.reduce((sum, { cost }, i) => sum + cost * (reply.runs?.[i]?.granted ?? 0), 0);
  const name = request.keys[0]?.split(':').at(-1) ?? '';
  const record: Recorded = { name, atUs: reply.nowUs, units, isRepeat: reply.isRepeat };
  if (units > 0) appendFileSync(RECORDS, `${JSON.stringify(record)}\n`);
  return reply;
};

const definitions = LIMITS.map(({ name, limit, perMs, most, calls }) => {
  return { definition: defineRateLimit(name, { limit, perMs }), most, calls };
});
let flooding = true;
const flooded: Flooded = { allowed: 0, refused: 0, undecided: 0 };

async function flood(): Promise<void> {
  while (flooding) {
    const asked = definitions.flatMap(({ definition, most, calls }) => {
      return Array.from({ length: calls }, () =>
        limits.consume(definition, 'k', { cost: 1 + Math.floor(Math.random() * most) }),
      );
    });
    for (const { allowed, decidedBy } of await Promise.all(asked)) {
      if (decidedBy === 'policy') flooded.undecided++;
      else if (allowed) flooded.allowed++;
      else flooded.refused++;
    }
    await pause(Math.random() * 20);
  }
}
const ended = flood();

serve({
  ops: {
    async end(): Promise<Flooded> {
      flooding = false;
      await ended;
      return flooded;
    },
  },
  stop: () => app.close(),
});
