/** Chaos scenarios: real faults against real processes, and verdicts over what they recorded. */

import {
  startRedis,
  startSentinels,
  type RedisServer,
  type SentinelGroup,
  type StartRedisOptions,
  type StartSentinelsOptions,
} from 'nestjs-sluice/testing';

/** One thing that a scenario found out. */
export interface Verdict {
  /** `holds`: a promise under these faults. `planted`: a violation made up to prove that the checker sees one. */
  kind: 'holds' | 'planted';
  what: string;
  ok: boolean;
  /** Counts, or the first violations. */
  detail?: string;
}

/** A promise that held, or did not. */
export function holds(what: string, ok: boolean, detail?: string): Verdict {
  return { kind: 'holds', what, ok, ...(detail === undefined ? {} : { detail }) };
}

/** A planted violation: good if the checker found something. Each feature has at least one. */
export function rejectsPlanted(what: string, found: readonly unknown[]): Verdict {
  return { kind: 'planted', what, ok: found.length > 0, detail: `${found.length} found` };
}

export interface ChaosContext {
  /** What this scenario may take; undefined: it runs to its own counts. */
  readonly budgetMs: number | undefined;
  /**
   * Whether to do one more round: the first one always, because a scenario without a fault shows nothing. Then by the clock if
   * there is a budget, else until `count` rounds are done.
   */
  more(done: number, count: number): boolean;
  /** From 0 up to 1, the same sequence for the same `--seed`. Draw faults from it, so that a run can be repeated. */
  random(): number;
  /** Prints what was injected. */
  log(line: string): void;
  /** A private Redis, stopped when the scenario is over. */
  startRedis(options?: StartRedisOptions): Promise<RedisServer>;
  /** The same with a primary, replicas and Sentinels. */
  startSentinels(options?: StartSentinelsOptions): Promise<SentinelGroup>;
}

export interface Scenario {
  /** One line: which faults, against what. */
  about: string;
  run(ctx: ChaosContext): Promise<Verdict[]>;
}

export interface Chaos {
  feature: string;
  scenarios: Record<string, Scenario>;
}

/**
 * The default export of `test/chaos/<feature>.chaos.ts`.
 *
 * @example
 * export default defineChaos({
 *   feature: 'lock',
 *   scenarios: {
 *     kill: { about: 'holders are killed while they hold', run: async (ctx) => [holds('no two at once', true)] },
 *   },
 * });
 */
export function defineChaos(chaos: Chaos): Chaos {
  return chaos;
}

export interface ChaosOptions {
  /** For the feature as a whole; each scenario gets its {@link fairShare}. */
  budgetMs?: number;
  scenario?: string;
  seed: number;
  print: (line: string) => void;
}

export interface Tally {
  passed: number;
  failed: number;
}

/** Past its budget, a scenario may still recover and check; without one, none takes longer. */
const GRACE_MS = 120_000;
const LONGEST_MS = 30 * 60_000;

/** Runs a feature's scenarios one after the other and counts the verdicts. A scenario that throws or hangs is one failed. */
export async function runChaos(chaos: Chaos, options: ChaosOptions): Promise<Tally> {
  const { print } = options;
  const chosen = Object.entries(chaos.scenarios).filter(([name]) => name === (options.scenario ?? name));
  const deadline = performance.now() + (options.budgetMs ?? 0);
  const verdicts: Verdict[] = [];
  for (const [i, [name, scenario]] of chosen.entries()) {
    print(`── ${chaos.feature} · ${name}: ${scenario.about}`);
    const { budgetMs } = options;
    const share = budgetMs && fairShare(budgetMs, deadline - performance.now(), chosen.length, i);
    const servers: Stoppable[] = [];
    const ctx = context(share, servers, options);
    const found = await withinReason(scenario, ctx);
    await Promise.all(servers.map((server) => server.stop()));
    for (const verdict of found) print(line(verdict));
    verdicts.push(...found);
  }
  if (options.scenario === undefined && !verdicts.some((verdict) => verdict.kind === 'planted')) {
    const unproven = holds('a planted violation proves the checker', false, 'the scenarios plant none');
    print(line(unproven));
    verdicts.push(unproven);
  }
  const passed = verdicts.filter((verdict) => verdict.ok).length;
  return { passed, failed: verdicts.length - passed };
}

/**
 * What one of several parts may take: an equal share of the time that is left, so that time which a part saves goes to the
 * others. At least an equal share of the whole: the parts before it may have taken longer, as on a busy machine, and the whole
 * takes longer then.
 */
export function fairShare(wholeMs: number, leftMs: number, parts: number, before: number): number {
  return Math.max(wholeMs / parts, leftMs / (parts - before));
}

interface Stoppable {
  stop(): Promise<void>;
}

function context(budgetMs: number | undefined, servers: Stoppable[], { seed, print }: ChaosOptions): ChaosContext {
  const started = performance.now();
  const noted = async <T extends Stoppable>(starting: Promise<T>): Promise<T> => {
    const server = await starting;
    servers.push(server);
    return server;
  };
  return {
    budgetMs,
    more: (done, count) =>
      done === 0 || (budgetMs === undefined ? done < count : performance.now() - started < budgetMs),
    random: seeded(seed),
    log: (text) => {
      print(`   ${text}`);
    },
    startRedis: (options) => noted(startRedis(options)),
    startSentinels: (options) => noted(startSentinels(options)),
  };
}

async function withinReason(scenario: Scenario, ctx: ChaosContext): Promise<Verdict[]> {
  const limitMs = ctx.budgetMs === undefined ? LONGEST_MS : ctx.budgetMs + GRACE_MS;
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      reject(new Error(`it did not end within ${Math.round(limitMs / 1_000)} s`));
    }, limitMs);
  });
  try {
    const verdicts = await Promise.race([scenario.run(ctx), late]);
    return verdicts.length > 0 ? verdicts : [holds('the scenario comes to a verdict', false)];
  } catch (error) {
    return [holds('the scenario runs to its end', false, error instanceof Error ? error.stack : String(error))];
  } finally {
    clearTimeout(timer);
  }
}

function line({ kind, what, ok, detail }: Verdict): string {
  const label = kind === 'planted' ? `planted violation rejected: ${what}` : what;
  return `${ok ? '✓' : '✗'}  ${label}${detail === undefined ? '' : ` (${detail})`}`;
}

/** Mulberry32 (Tommy Ettinger, public domain): 32 bits of state are plenty to vary faults by. */
export function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/**
 * All of them in a random order, and then again in another order, for ever: a run with few faults has each kind of them. Drawn one
 * by one, some would often be missing.
 */
export function* inRounds<T>(all: readonly T[], random: () => number): Generator<T, never> {
  for (;;) {
    const left = [...all];
    while (left.length > 0) yield* left.splice(Math.floor(random() * left.length), 1);
  }
}
