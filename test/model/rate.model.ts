import { RedisConnections } from '../../libs/redis/index.js';
import { RATE_STEPS } from './rate.steps.js';
import { RateWorld, type RateLook } from './rate.world.js';

export interface RateModelOptions {
  /** Of a Redis of its own. */
  url: string;
  seed: number;
  /** How many steps at least. */
  steps: number;
  /** Ends it early, between two runs. */
  stop?: () => boolean;
  /** A further step, to prove that a wrong one is found. */
  planted?: (world: RateWorld) => Promise<unknown>;
}

/** Steps of one run. */
const LENGTH = 150;
/** How many of the last steps a violation is told with. */
const TOLD = 25;

/**
 * Runs random steps of publishers, workers, zombies and operators against the real scripts of a queue whose keys have rates, in some runs
 * with so many places of each key as well, or in order. After each step it looks at every task: it is in exactly one place; what is
 * pending with `~paced` is in line, in the order of the stream; a key with a line is due at some time; no key had more starts in its
 * window, on the server's clock; no more tasks of a key are with workers than it has places, and those of an ordering key began in order;
 * no delivery was lost or counted twice; and what could be taken was. At the end of a run everything is brought to rest: each task has
 * ended, and nobody waits.
 */
export async function runRateModel({ url, seed, steps, stop, planted }: RateModelOptions): Promise<number> {
  // A busy machine may keep the server waiting. The model judges states, and no times of processes.
  const connections = await new RedisConnections({ redis: { url, commandTimeoutMs: 60_000 } }).open();
  let done = 0;
  try {
    for (let run = 0; done < steps && stop?.() !== true; run++) {
      const world = new RateWorld(connections.get().commands, `rate-${run % 8}`, seed + run);
      await runOnce(world, planted);
      done += world.steps;
    }
    return done;
  } finally {
    await connections.onApplicationShutdown();
  }
}

async function runOnce(world: RateWorld, planted: RateModelOptions['planted']): Promise<void> {
  const told: string[] = [];
  const names = Object.entries(RATE_STEPS).flatMap(([name, { weight }]) => new Array<string>(weight).fill(name));
  const step = async (name: string): Promise<void> => {
    world.steps++;
    told.push(`${name} ${await RATE_STEPS[name]?.run(world)}`);
    check(world, await world.look());
  };
  try {
    await world.begin();
    for (let i = 0; i < LENGTH; i++) {
      if (planted && world.pick(20) === 0) await planted(world);
      await step(names[world.pick(names.length)] ?? '');
    }
    world.rests = true;
    for (let rounds = 0; !world.isAtRest(await world.look()); rounds++) {
      if (rounds > 2_000) throw new Error(`the tasks do not come to rest: ${JSON.stringify(await world.look())}`);
      for (const name of ['heal', 'promote', 'take', 'finish']) await step(name);
    }
    // Keys whose waiting tasks were all removed are due once more.
    for (let rounds = 0; (await world.look()).due.length > 0; rounds++) {
      if (rounds > 2_000) throw new Error('keys without tasks stay due');
      await step('take');
    }
    await world.end();
  } catch (error) {
    const { limit, perMs, perKey, isOrdered } = world;
    const of = `seed ${world.seed}, ${limit} in ${perMs} ms, ${isOrdered ? 'ordered' : `${perKey} places`}`;
    throw new Error(`${of}: ${String(error)}\n${told.slice(-TOLD).join('\n')}`, { cause: error });
  }
}

/** @throws Error for what must not be */
function check(world: RateWorld, { places, paced, line, due, problems }: RateLook): void {
  const violations: string[] = [...problems];
  for (const task of world.published) {
    const found = places.get(task) ?? [];
    if (found.length !== 1) violations.push(`task ${task} is in ${found.length} places: ${found.join(', ')}`);
  }
  if (JSON.stringify(paced) !== JSON.stringify(line)) {
    violations.push(`paced ${JSON.stringify(paced)}, in line ${JSON.stringify(line)}`);
  }
  for (const [key] of line) {
    if (!due.includes(key)) violations.push(`key ${key} has a line and is never due`);
  }
  if (violations.length > 0) throw new Error(violations.join('; '));
}
