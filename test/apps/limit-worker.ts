/** One process of a fleet that uses up rate limits, and writes down what Redis decided, and when. */
import 'reflect-metadata';
import { appendFileSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { RateLimitService, SluiceLimitModule, defineRateLimit } from 'nestjs-sluice/limit';
import { SluiceRedisModule } from 'nestjs-sluice/redis';
import { serve } from '../support/app-host.js';
import { onDecided } from '../support/decision-times.js';
import { LIMITS, type Flooded } from '../support/limit-records.js';

const { REDIS_URL = '', RECORDS = '' } = process.env;

@Module({
  imports: [
    SluiceRedisModule.forRoot({ redis: { url: REDIS_URL } }),
    // Nothing that this process decides by itself is written down.
    SluiceLimitModule.forRoot({ onUnavailable: 'deny' }),
  ],
})
class Worker {}

const app = await NestFactory.createApplicationContext(Worker, { logger: false, abortOnError: false });
const limits = app.get(RateLimitService);
onDecided(app, (record) => {
  if (record.units > 0) appendFileSync(RECORDS, `${JSON.stringify(record)}\n`);
});

const definitions = LIMITS.map(({ name, limit, perMs, most, calls }) => {
  return { definition: defineRateLimit(name, { limit, perMs }), most, calls };
});
let flooding = true;
const flooded: Flooded = { allowed: 0, refused: 0, undecided: 0 };

async function flood(): Promise<void> {
  while (flooding) {
    const asked = definitions.flatMap(({ definition, most, calls }) => {
      const cost = (): number => 1 + Math.floor(Math.random() * most);
      const hot = Array.from({ length: calls }, () => limits.consume(definition, 'k', { cost: cost() }));
      // Several keys that are asked the same are one script.
      const alike = { cost: cost() };
      return [...hot, ...['a', 'b', 'c'].map((key) => limits.consume(definition, key, alike))];
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
