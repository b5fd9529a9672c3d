/** A whole benchmark: all rows of the chosen features, once or several times, and then their curves. */
import { Redis } from 'ioredis';
import { startRedis, type RedisServer } from 'nestjs-sluice/testing';
import { cpus } from 'node:os';
import { combine, metAll, runRow, type Bench, type Curve, type Result, type Series } from './bench.js';
import { observer } from './load.js';
import { peerVersion } from './peer.js';
import { show, tell } from './tell.js';

export interface RunRequest {
  benches: readonly Bench[];
  quick: boolean;
  repeat: number;
  print: (line: string) => void;
}

export interface RunResult {
  rows: Result[];
  /** What it was measured on and against, in words. */
  on: string[];
  timesMet: string[];
}

const ROUNDS = { quick: 1, full: 5 };

/** Runs the rows, each time on a fresh server. */
export async function run(request: RunRequest): Promise<RunResult> {
  const { benches, repeat, print } = request;
  const runs: Result[][] = [];
  let on: string[] = [];
  for (let i = 1; i <= repeat; i++) {
    await onServer(async (redis) => {
      on = [machine(redis), ...benches.flatMap(({ peers }) => peers.map(settingsOf))];
      if (i === 1) for (const line of on) print(line);
      if (repeat > 1) print(`run ${i} of ${repeat}`);
      runs.push(await runOnce(redis, request));
    });
  }
  const lines = repeat > 1 ? timesMet(runs) : [];
  for (const line of lines) print(line);
  return { rows: combine(runs), on, timesMet: lines };
}

/** Measures the curves, each on a fresh server. */
export async function runCurves({ benches, quick, print }: RunRequest): Promise<{ curve: Curve; series: Series }[]> {
  const measured: { curve: Curve; series: Series }[] = [];
  for (const curve of benches.flatMap(({ curves }) => curves)) {
    await onServer(async (redis) => {
      const series = await curve.measure({ redis, quick });
      measured.push({ curve, series });
      print(`── ${curve.title}: ${curve.y} by ${curve.x}`);
      for (const [name, points] of Object.entries(series)) {
        print(`   ${name}: ${points.map(([x, y]) => `${show(x)}: ${show(y)}`).join('   ')}`);
      }
    });
  }
  return measured;
}

/** How many of the runs met each target, and all of them. */
export function timesMet(runs: readonly (readonly Result[])[]): string[] {
  const [first = []] = runs;
  const lines = first
    .filter(({ verdict }) => verdict !== 'none')
    .map(({ name, target }) => {
      const times = runs.filter((run) => run.some((of) => of.name === name && of.verdict === 'met')).length;
      return `${times} of ${runs.length} runs met ${name}: ${target}`;
    });
  return [...lines, `${runs.filter(metAll).length} of ${runs.length} runs met every target`];
}

async function runOnce(redis: RedisServer, { benches, quick, print }: RunRequest): Promise<Result[]> {
  const client = new Redis(redis.url);
  const options = { redis, quick, rounds: quick ? ROUNDS.quick : ROUNDS.full, observe: observer(client) };
  const results: Result[] = [];
  try {
    for (const row of benches.flatMap(({ rows }) => rows)) {
      // A row leaves keys behind that the next one's figures would depend on.
      await client.flushall();
      const measured = await runRow(row, options);
      for (const line of measured.flatMap(tell)) print(line);
      results.push(...measured);
    }
  } finally {
    client.disconnect();
  }
  return results;
}

async function onServer(work: (redis: RedisServer) => Promise<void>): Promise<void> {
  const redis = await startRedis();
  try {
    await work(redis);
  } finally {
    await redis.stop();
  }
}

function machine(redis: RedisServer): string {
  const version = /version=([\d.]+)/.exec(redis.stdout)?.[1] ?? 'unknown';
  const processors = `${cpus().length} × ${cpus()[0]?.model ?? 'unknown'}`;
  return `Redis ${version} on the same machine, nothing persisted (save "", appendonly no); Node ${process.version}; ${processors}`;
}

function settingsOf({ name, settings }: { name: string; settings: string }): string {
  return `${name} ${peerVersion(name)}: ${settings}`;
}
