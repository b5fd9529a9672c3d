import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import type { RedisServer } from 'nestjs-sluice/testing';
import { forkApp, type ForkedApp } from './fork-app.js';
import { SET_BACK, type Flooded, type Recorded } from './limit-records.js';

/** Processes that use up the same rate limits, while they and Redis suffer faults. */
export class LimitFleet {
  readonly #redis: RedisServer;
  readonly #admin: Redis;
  readonly #size: number;
  readonly #dir = mkdtempSync(join(tmpdir(), 'sluice-limit-'));
  readonly #workers: ForkedApp[] = [];
  #started = 0;

  constructor(redis: RedisServer, admin: Redis, size: number) {
    this.#redis = redis;
    this.#admin = admin;
    this.#size = size;
  }

  async fill(): Promise<void> {
    await Promise.all(Array.from({ length: this.#size - this.#workers.length }, () => this.#fork()));
  }

  /** Faults by name. None of them may lead to one unit too many. */
  readonly faults: Record<string, (random: number) => Promise<unknown>> = {
    kill: async (random) => {
      const [victim] = this.#workers.splice(Math.floor(random * this.#workers.length), 1);
      await victim?.kill();
      await this.fill();
    },
    pause: async (random) => {
      const victim = this.#workers[Math.floor(random * this.#workers.length)];
      victim?.pause();
      await pause(200 + random * 1_000);
      victim?.resume();
    },
    'drop clients': () => this.#admin.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes'),
    'forget scripts': () => this.#admin.script('FLUSH'),
    'hold commands': (random) => this.#admin.call('CLIENT', 'PAUSE', String(Math.round(random * 400))),
    freeze: async (random) => {
      this.#redis.pause();
      await pause(random * 600);
      this.#redis.resume();
    },
    'set the clock back': async (random) => {
      const keys = await this.#admin.keys('{rl:*');
      const by = String(Math.round(random * 5_000_000));
      // One key each: in cluster mode, they are in several slots.
      await Promise.all(keys.map((key) => this.#admin.eval(SET_BACK, 1, key, by)));
    },
  };

  /** Stops the floods. What all processes counted. */
  async end(): Promise<Flooded> {
    const each = await Promise.all(this.#workers.map((worker) => worker.call<Flooded>('end')));
    const sum = (count: keyof Flooded): number => each.reduce((total, flooded) => total + flooded[count], 0);
    return { allowed: sum('allowed'), refused: sum('refused'), undecided: sum('undecided') };
  }

  records(): Recorded[] {
    const files = readdirSync(this.#dir).map((file) => readFileSync(join(this.#dir, file), 'utf8'));
    // A process that was killed may have left half a line.
    return files.flatMap((text) =>
      text
        .split('\n')
        .slice(0, -1)
        .map((line) => JSON.parse(line) as Recorded),
    );
  }

  async close(): Promise<void> {
    await Promise.all(this.#workers.splice(0).map((worker) => worker.kill()));
    if (existsSync(this.#dir)) rmSync(this.#dir, { recursive: true });
  }

  async #fork(): Promise<void> {
    const env = { REDIS_URL: this.#redis.url, RECORDS: join(this.#dir, `${this.#started++}.ndjson`) };
    this.#workers.push(await forkApp('limit-worker', { env }));
  }
}
