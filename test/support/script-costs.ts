import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Redis } from 'ioredis';
import { commandDelta } from './command-delta.js';
import { median } from './median.js';

/** How the work of a script grows with what it is called for. */
export type Growth = 'bounded' | 'linear' | 'more';

/** Makes the state for `n` things, and returns the call that is measured. */
export type Prepare = (n: number) => Promise<() => Promise<unknown>>;

/** A few commands more or less do not depend on `n`, as where the last of a list ends a search. */
const STEADY = 3;

/**
 * How the number of Redis commands that a script executes grows from `n` over twice to four times `n`. It is counted by the
 * server, so it is the same on any machine.
 */
export async function growthOf(client: Redis, n: number, prepare: Prepare): Promise<Growth> {
  // The server learns the script.
  await commandsOf(client, n, prepare);
  const [once, twice, fourTimes] = [
    await commandsOf(client, n, prepare),
    await commandsOf(client, 2 * n, prepare),
    await commandsOf(client, 4 * n, prepare),
  ];
  if (fourTimes <= once + STEADY) return 'bounded';
  return fourTimes - twice <= 2 * (twice - once) + STEADY ? 'linear' : 'more';
}

async function commandsOf(client: Redis, n: number, prepare: Prepare): Promise<number> {
  await client.flushall();
  const call = await prepare(n);
  return (await commandDelta(client, call)).total;
}

/** Below what growth at four times `n` work is linear: linear work takes about four times as much, quadratic work sixteen. */
const LINEAR_BELOW = 8;

/**
 * Whether the processor time of a script grows linearly with `n`: for loops that execute no command and so cannot be counted.
 * It is the time of the server's own thread. Of each size the median of some runs counts, and of more runs if these were not
 * enough: other work of the machine makes a run slower through the caches of the processor, and a run whose state has lapsed while
 * the machine stood still is much too short.
 */
export async function isLinear(client: Redis, n: number, prepare: Prepare): Promise<boolean> {
  await cpuOf(client, n, prepare);
  const seconds: { once: number[]; fourTimes: number[] } = { once: [], fourTimes: [] };
  for (let round = 0; round < 30; round++) {
    seconds.once.push(await cpuOf(client, n, prepare));
    seconds.fourTimes.push(await cpuOf(client, 4 * n, prepare));
    if (round >= 4 && median(seconds.fourTimes) < LINEAR_BELOW * median(seconds.once)) return true;
  }
  return false;
}

async function cpuOf(client: Redis, n: number, prepare: Prepare): Promise<number> {
  await client.flushall();
  const call = await prepare(n);
  const before = await cpuSeconds(client);
  await call();
  return (await cpuSeconds(client)) - before;
}

async function cpuSeconds(client: Redis): Promise<number> {
  const shares = [...(await client.info('cpu')).matchAll(/^used_cpu_(?:sys|user)_main_thread:([\d.]+)/gm)];
  return shares.reduce((sum, [, seconds]) => sum + Number(seconds), 0);
}

/** The names of the scripts that the files of a folder define. */
export function scriptNames(folder: string): string[] {
  return readdirSync(folder)
    .filter((file) => /\.scripts?\.ts$/.test(file))
    .flatMap((file) => [...readFileSync(join(folder, file), 'utf8').matchAll(/defineScript\({\s*name: '([^']+)'/g)])
    .map(([, name]) => name!)
    .sort();
}
