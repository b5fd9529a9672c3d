import { badOption, type SluiceError } from '../weave/index.js';
import type { Revive } from './local/decoded-copies.js';

/**
 * What a read does when Redis does not answer it. A number: the read may take a copy of this process of at most this age, in
 * milliseconds.
 */
export type OutagePolicy = 'load' | 'throw' | number;

/** Options of one load, complete. Tags are encoded. */
export interface LoadOptions {
  readonly ttlMs: number;
  readonly staleMs: number;
  readonly softTimeoutMs: number;
  readonly jitter: number;
  readonly earlyRefresh: number;
  readonly negativeTtlMs: number;
  readonly errorBackoffMs: number;
  readonly loaderTimeoutMs: number;
  /** 0: any number. */
  readonly maxConcurrentLoads: number;
  readonly source: string;
  readonly tags: readonly string[];
  readonly resultTags: ((value: never) => readonly string[]) | undefined;
  readonly consistency: 'bounded' | 'strict';
  readonly version: string | undefined;
  readonly local: boolean;
  readonly revive: Revive | undefined;
  readonly unless: ((value: never) => boolean) | undefined;
  readonly onBackendDown: OutagePolicy;
  readonly answers: ((error: unknown) => boolean) | undefined;
}

/** The options of loads that were given in one place. Options that are left out are decided by the next weaker place. */
export type Layer = { readonly [K in keyof LoadOptions]?: LoadOptions[K] | undefined };

const DEFAULTS: Omit<LoadOptions, 'negativeTtlMs' | 'local'> = {
  ttlMs: 60_000,
  staleMs: 0,
  softTimeoutMs: 0,
  jitter: 0.1,
  earlyRefresh: 1,
  errorBackoffMs: 1_000,
  loaderTimeoutMs: 60_000,
  maxConcurrentLoads: 0,
  source: '',
  tags: [],
  resultTags: undefined,
  consistency: 'bounded',
  version: undefined,
  revive: undefined,
  unless: undefined,
  onBackendDown: 'load',
  answers: undefined,
};

/** Puts layers on the defaults. The last layer is the strongest. */
export function loadOptions(...layers: readonly Layer[]): LoadOptions {
  const merged = Object.assign({}, DEFAULTS, ...layers) as typeof DEFAULTS & Layer;
  const local = localOf(layers);
  const negativeTtlMs = merged.negativeTtlMs ?? merged.ttlMs;
  const { onBackendDown: wanted } = merged;
  const onBackendDown = typeof wanted === 'number' && !local ? withoutCopies(layers, wanted) : wanted;
  return { ...merged, negativeTtlMs, local, onBackendDown };
}

/** A read without local copies uses no copies in an outage either. But a layer that asks for them there must not be ignored. */
function withoutCopies(layers: readonly Layer[], maxAgeMs: number): 'load' {
  const off = layers.findLastIndex(({ local, consistency }) => local === false || consistency === 'strict');
  if (layers.findLastIndex(({ onBackendDown }) => onBackendDown === maxAgeMs) >= off)
    throw outageCopiesOff('cache', maxAgeMs);
  return 'load';
}

/** The error for outage copies without local copies: copies that are used while Redis is away are local copies. */
export function outageCopiesOff(path: string, maxAgeMs: number): SluiceError {
  const wanted = "'load' or 'throw' where there are no local copies (local: false, or consistency: 'strict')";
  return badOption(`${path}.onBackendDown`, wanted, { local: { maxAgeMs } });
}

/** The strongest layer that decides about copies counts. `strict` is a decision against copies. */
function localOf(layers: readonly Layer[]): boolean {
  let wanted: boolean | undefined;
  let strict = false;
  for (const { local, consistency } of layers) {
    if (consistency !== undefined) strict = consistency === 'strict';
    if (consistency === 'strict') wanted = undefined;
    if (local !== undefined) wanted = local;
    if (strict && wanted === true) throw localAndStrict('cache');
  }
  return wanted ?? !strict;
}

/**
 * The answer of a user's condition. A promise is refused: it is always truthy, whatever it resolves to.
 *
 * @throws SluiceError `SLUICE_BAD_OPTION` if the answer is neither true nor false
 */
export function isTrue(path: string, answer: unknown): boolean {
  if (typeof answer === 'boolean') return answer;
  // Without a handler, a rejection of the promise would end the process.
  if (answer instanceof Promise) answer.catch(() => {});
  throw badOption(path, 'true or false (not a promise)', answer);
}

/** How long this value is fresh, in milliseconds, with a new draw of the jitter. */
export function ttlOf(value: unknown, { ttlMs, negativeTtlMs, jitter }: LoadOptions, random: () => number): number {
  const longest = value === null || value === undefined ? negativeTtlMs : ttlMs;
  return Math.max(1, Math.round(longest * (1 - jitter * random())));
}

/** The longest time that a value of such a load may live, in milliseconds from the grant of the lease on. */
export function keepOf({ ttlMs, negativeTtlMs, staleMs, loaderTimeoutMs }: LoadOptions): number {
  return Math.max(ttlMs, negativeTtlMs) + staleMs + loaderTimeoutMs;
}

/** The error for local copies under `strict`: they exclude one another. */
export function localAndStrict(path: string): SluiceError {
  return badOption(`${path}.local`, "false or left out under consistency: 'strict', which has no local copies", true);
}
