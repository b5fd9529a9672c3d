import type { Fleet } from '../launcher/fleet.js';
import type { Gateway } from '../launcher/gateway.js';
import type { MailProvider } from '../launcher/mail-provider.js';
import type { DemoPostgres } from '../launcher/postgres.js';
import type { DemoRedis } from '../launcher/redis.js';

/** What a step acts on and measures with. */
export interface Stage {
  namespace: string;
  redis: DemoRedis;
  postgres: DemoPostgres;
  gateway: Gateway;
  mailProvider: MailProvider;
  fleet: Fleet;
  interrupted: AbortSignal;
  /** Polls until `condition` holds, and says whether it did within minutes. Throws when it is interrupted. */
  until: (condition: () => boolean | Promise<boolean>) => Promise<boolean>;
}

/** One thing that the demo shows. */
export interface Step<Figures> {
  title: string;
  /** What is done, in a sentence or two. */
  shows: string;
  /** Does it and measures, outside the processes that are under test. Never judges. */
  play(stage: Stage): Promise<Figures>;
  /** What has to hold. Knows nothing but the figures. */
  judge(figures: Figures): Claim[];
  /** The figures for people. */
  rows(figures: Figures): [label: string, value: string | number][];
}

/** Something that has to hold, and whether it did. */
export interface Claim {
  claim: string;
  expected: string;
  seen: string;
  holds: boolean;
}

export function equal(claim: string, expected: number, seen: number): Claim {
  return { claim, expected: String(expected), seen: String(seen), holds: seen === expected };
}

export function atLeast(claim: string, least: number, seen: number): Claim {
  return { claim, expected: `at least ${least}`, seen: String(seen), holds: seen >= least };
}

export function atMost(claim: string, most: number, seen: number): Claim {
  return { claim, expected: `at most ${most}`, seen: String(seen), holds: seen <= most };
}

export function below(claim: string, limitMs: number, seenMs: number): Claim {
  return { claim, expected: `below ${limitMs} ms`, seen: `${seenMs} ms`, holds: seenMs < limitMs };
}

/** @param seen null if it never happened. */
export function within(claim: string, mostMs: number, seen: number | null): Claim {
  return {
    claim,
    expected: `within ${mostMs} ms`,
    seen: seen === null ? 'never' : `${seen} ms`,
    holds: seen !== null && seen <= mostMs,
  };
}
