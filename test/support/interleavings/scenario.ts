import type { Feature } from './rival.js';
import type { Stage } from './stage.js';

/** An order of events in which caches go wrong. */
export interface Scenario {
  letter: string;
  title: string;
  /** What happens, in this order. */
  order: string;
  /** What a right cache does. */
  right: string;
  /** Without this, the question does not arise. */
  needs?: Feature;
  processes: number;
  /** It leaves a process dead, or one that cannot hear. */
  spoils?: boolean;
  play(stage: Stage, claims: Claims): Promise<Finding>;
}

/** What is claimed of the library. */
export interface Claims {
  /** Its loads are shared by all processes, and not by the callers of one. */
  sharesLoads: boolean;
  /** Its processes tell each other what is gone. */
  tells: boolean;
  tags: boolean;
}

/** What came out. */
export interface Finding {
  right: boolean;
  /** In a few words. */
  seen: string;
}

export const count = (n: number, what: string): string => `${n} ${what}${n === 1 ? '' : 's'}`;
