import { RedisConnections } from '../../libs/redis/index.js';
import { OrderWorld, type Look } from './order.world.js';
import { ORDER_STEPS } from './order.steps.js';

export interface OrderModelOptions {
  /** Of a Redis of its own. */
  url: string;
  seed: number;
  /** How many steps at least. */
  steps: number;
  /** Ends it early, between two runs. */
  stop?: () => boolean;
  /** A further step, to prove that a wrong one is found. */
  planted?: (world: OrderWorld) => Promise<void>;
}

/** Steps of one run. */
const LENGTH = 150;
/** How many of the last steps a violation is told with. */
const TOLD = 25;

/**
 * Runs random steps of publishers, workers, zombies and operators against the real scripts of an ordered queue, or of one with a limit by
 * key, and after each step looks at every task: it is in exactly one place; of each key at most one task, or as many as may, has begun and
 * has not ended; what is parked is in line, in the order of the stream; and of a key with a line no place is free. At the end of a run
 * everything is brought to rest: each task has ended, those of each key of an ordered queue have begun in their order, and nothing of the
 * order is left.
 */
export async function runOrderModel({ url, seed, steps, stop, planted }: OrderModelOptions): Promise<number> {
  // A busy machine may keep the server waiting. The model judges states, and no times.
  const connections = await new RedisConnections({ redis: { url, commandTimeoutMs: 60_000 } }).open();
  let done = 0;
  try {
    for (let run = 0; done < steps && stop?.() !== true; run++) {
      // Every second queue has a limit by key instead of an order.
      const perKey = run % 2 === 0 ? 0 : 1 + (run % 3);
      const world = new OrderWorld(connections.get().commands, `order-${run % 8}`, seed + run, perKey);
      await runOnce(world, planted);
      done += world.steps;
    }
    return done;
  } finally {
    await connections.onApplicationShutdown();
  }
}

async function runOnce(world: OrderWorld, planted: OrderModelOptions['planted']): Promise<void> {
  const told: string[] = [];
  const names = Object.entries(ORDER_STEPS).flatMap(([name, { weight }]) => new Array<string>(weight).fill(name));
  const step = async (name: string): Promise<void> => {
    world.steps++;
    told.push(`${name} ${await ORDER_STEPS[name]?.run(world)}`);
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
    await world.end();
  } catch (error) {
    throw new Error(`seed ${world.seed}: ${String(error)}\n${told.slice(-TOLD).join('\n')}`, { cause: error });
  }
}

/** @throws Error for what must not be */
function check(world: OrderWorld, { places, begun, parked, line, gates, problems }: Look): void {
  const violations: string[] = [...problems];
  for (const task of world.published) {
    const found = places.get(task) ?? [];
    if (found.length !== 1) violations.push(`task ${task} is in ${found.length} places: ${found.join(', ')}`);
  }
  for (const [key, tasks] of begun) {
    if (tasks.length > world.places) violations.push(`of key ${key}, ${tasks.join(' and ')} have begun`);
  }
  if (JSON.stringify(parked) !== JSON.stringify(line)) {
    violations.push(`parked ${JSON.stringify(parked)}, in line ${JSON.stringify(line)}`);
  }
  for (const [key] of line) {
    const holders = gates.get(key)?.split('\0').length ?? 0;
    const running = begun.get(key)?.length ?? 0;
    if (holders !== world.places || running !== world.places)
      violations.push(`key ${key} has a line, and ${holders} hold it, of which ${running} have begun`);
  }
  if (violations.length > 0) throw new Error(violations.join('; '));
}
