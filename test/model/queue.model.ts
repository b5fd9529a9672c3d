import fc from 'fast-check';
import { RedisConnections, type Link } from '../../libs/redis/index.js';
import { CONSUMERS, STEPS } from './queue.steps.js';
import type { Step } from './step.js';
import { World } from './queue.world.js';

export interface ModelOptions {
  /** Of a Redis of its own. */
  url: string;
  seed: number;
  /** How many steps at least. */
  steps: number;
  /** Ends it early, between two runs. */
  stop?: () => boolean;
  /** Whether to look for the shortest way to a violation. Default true. */
  shrink?: boolean;
  /** Further steps, to prove that a wrong one is found. */
  planted?: Readonly<Record<string, { weight: number; run: Step }>>;
}

/** Steps of one run. Long enough for a task to be retried, taken over and buried. */
const LENGTH = 120;
/** Runs at a time, each with keys of its own. */
const LANES = 8;

interface Move {
  readonly step: string;
  /** On which level. */
  readonly level: number;
  /** What the step draws its choices from. */
  readonly draws: readonly number[];
}

/**
 * Runs random steps of publishers, workers, zombies and foreign clients against the real scripts, one or two groups on
 * one queue with or without levels of priority, and after each step looks at every task: it is in exactly one place for each group, and whatever moved was
 * allowed to by that step. At the end of a run all is brought to rest: every task is done or dead, and nothing is left.
 *
 * Rejects with the shortest sequence that fast-check found for a violation. Resolves to the number of steps.
 */
export async function runQueueModel(options: ModelOptions): Promise<number> {
  // A busy machine may keep the server waiting. The model judges states, and no times.
  const connections = await new RedisConnections({ redis: { url: options.url, commandTimeoutMs: 60_000 } }).open();
  try {
    return await runLanes(connections.get().commands, options);
  } finally {
    await connections.onApplicationShutdown();
  }
}

async function runLanes(link: Link, options: ModelOptions): Promise<number> {
  const { seed, steps, stop, planted = {}, shrink = true } = options;
  const table = { ...STEPS, ...planted };
  const names = Object.entries(table).flatMap(([name, { weight }]) => new Array<string>(weight).fill(name));
  const move = fc.record({
    step: fc.constantFrom(...names),
    level: fc.nat(1),
    draws: fc.array(fc.nat(10_000), { minLength: 6, maxLength: 6 }),
  });
  const moves = fc.array(move, { minLength: 1, maxLength: LENGTH, size: 'max' });
  let done = 0;
  let failing: number | undefined;
  // Once a violation was found, only its lane goes on, and looks for the shortest way there.
  const ended = (n: number): boolean => (failing === undefined ? done >= steps || stop?.() === true : failing !== n);
  const lane = async (n: number): Promise<void> => {
    const property = fc.asyncProperty(moves, fc.boolean(), fc.boolean(), async (run, several, levelled) => {
      if (ended(n)) return;
      const levels = levelled ? (['normal', 'high'] as const) : (['normal'] as const);
      const world = new World(link, `model${n}`, several ? ['one', 'two'] : ['one'], levels);
      await runOnce(world, run, table).catch((error: unknown) => {
        failing ??= n;
        throw error;
      });
      done += world.steps;
    });
    for (let round = n; !ended(n); round += LANES) {
      await fc.assert(property, { seed: seed + round, includeErrorInReport: true, endOnFailure: !shrink, numRuns: 20 });
    }
  };
  const lanes = await Promise.allSettled(Array.from({ length: LANES }, (_, n) => lane(n)));
  for (const outcome of lanes) if (outcome.status === 'rejected') throw outcome.reason;
  return done;
}

async function runOnce(world: World, run: readonly Move[], table: typeof STEPS): Promise<void> {
  await world.begin();
  for (const { step, level, draws } of run) {
    world.goTo(level);
    await take(world, step, draws, table);
  }
  await rest(world);
  await world.end();
}

async function take(world: World, step: string, draws: readonly number[], table: typeof STEPS): Promise<void> {
  let drawn = 0;
  world.steps++;
  const before = world.last.places;
  const rule = await table[step]!.run(world, (below) => (draws[drawn++ % draws.length] ?? 0) % below);
  const [{ places }, violations] = await Promise.all([world.look(), world.ends.violations(world.link)]);
  for (const group of world.groups) {
    for (let n = 0; n < world.published; n++) {
      const of = `${group} ${n}`;
      const found = places.get(of) ?? [];
      const [from, to] = [before.get(of)?.[0], found[0]];
      if (found.length !== 1 || to === undefined)
        violations.push(`${of} is in ${found.length} places: ${found.join(', ')}`);
      else if (from !== to && !rule(of, from, to)) violations.push(`${of} went from ${from ?? 'nowhere'} to ${to}`);
    }
  }
  if (places.size !== world.groups.length * world.published) violations.push('there are tasks that nobody published');
  if (violations.length > 0) throw new Error(`${step}: ${violations.join('; ')}`);
}

/** Everyone dies but one, who does what there is to do. Then nothing is left but dead letters. */
async function rest(world: World): Promise<void> {
  const [survivor = ''] = CONSUMERS;
  const everything = { ...STEPS };
  const step = (name: string, ...draws: number[]): Promise<void> => take(world, name, draws, everything);
  for (const n of CONSUMERS.keys()) await step('crash', n);
  await step('start', 0);
  const settled = (): boolean => [...world.last.places.values()].every(([place]) => /^(done|dead:)/.test(place ?? ''));
  await world.look();
  for (let rounds = 0; !settled(); rounds++) {
    if (rounds > 50 + 10 * world.published) throw new Error('the tasks do not come to rest');
    world.goTo(rounds);
    for (const group of world.groups.keys()) {
      for (const retries of [0, 1]) {
        await step('promote', group, retries, 0, 0, 0, 0);
        await step('read', 0, group, retries, 3);
        await step('reap', 0, group, retries, 4, 1);
      }
    }
    while (world.last.pending.some(({ consumer }) => consumer === survivor)) {
      await step(
        'ack',
        world.last.pending.findIndex(({ consumer }) => consumer === survivor),
        1,
      );
    }
  }
  for (let level = 0; level < world.levels; level++) {
    world.goTo(level);
    await step('clean', 3);
  }
  if (!world.ends.isAtRest) throw new Error('members of a join have not ended');
  if (world.last.left > 0) throw new Error(`${world.last.left} entries are left that nobody needs`);
}
