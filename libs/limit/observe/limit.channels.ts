import { channel } from 'node:diagnostics_channel';
import type { RateLimitDecision } from '../rate-limit-decision.js';

/** What every message about a rate limit contains. */
export interface RateLimitMessage {
  /** The name of the rate limit. */
  readonly name: string;
  /** Whose limit it is, as the caller gave it. It may be an address or an API key: take care where you write it. */
  readonly key: string;
}

/** On `sluice:limit:refused`: a call was refused, or would have been with `dryRun`. */
export interface RateLimitRefusedMessage extends RateLimitMessage {
  readonly cost: number;
  /** True if the call went on all the same, because the limit is only tried out. */
  readonly dryRun: boolean;
  readonly decision: RateLimitDecision;
}

/** On `sluice:limit:neared`: an admitted call took the fifth part of the limit that is left, or a unit of it. */
export interface RateLimitNearedMessage extends RateLimitMessage {
  readonly decision: RateLimitDecision;
}

/** On `sluice:limit:undecided`: Redis did not answer, so `onUnavailable` decided. */
export interface RateLimitUndecidedMessage extends RateLimitMessage {
  readonly decision: RateLimitDecision;
  /** Why Redis did not decide. */
  readonly error: unknown;
}

/** The message of each channel. */
export interface LimitMessages {
  'sluice:limit:refused': RateLimitRefusedMessage;
  'sluice:limit:neared': RateLimitNearedMessage;
  'sluice:limit:undecided': RateLimitUndecidedMessage;
}

/**
 * The names of the `node:diagnostics_channel` channels of rate limits. A message is published in the process that made the call,
 * and is created only while the channel has a subscriber.
 *
 * @example
 * subscribeSluice(LIMIT_CHANNELS.refused, ({ name, decision }) => metrics.refused(name, decision.violated));
 */
export const LIMIT_CHANNELS = {
  refused: 'sluice:limit:refused',
  neared: 'sluice:limit:neared',
  undecided: 'sluice:limit:undecided',
} as const satisfies Record<string, keyof LimitMessages>;

/** The channel objects: with them, publishing needs no look-up by name. */
export const channels = {
  refused: channel(LIMIT_CHANNELS.refused),
  neared: channel(LIMIT_CHANNELS.neared),
  undecided: channel(LIMIT_CHANNELS.undecided),
};
