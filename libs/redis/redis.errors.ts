import { SluiceError, isSluiceError, show } from '../weave/index.js';
import { NEWER_DATA, unknownUses, type UnknownUse } from './script/uses.fragment.js';

/**
 * The words with which a server refuses what it may take a moment later: it loads its data, was made a replica, has too few
 * replicas, cannot save, runs a slow script, is full, has lost its primary or its cluster, moves a slot or no longer has it
 * (`MOVED`: a failover of a Cluster with one shard, or a second shard), or its users and their rights are being changed.
 * `UNBLOCKED` ends a blocked read when a failover makes its server a replica.
 */
export const REDIS_REFUSALS = [
  'LOADING',
  'READONLY',
  'NOREPLICAS',
  'MISCONF',
  'BUSY',
  'OOM',
  'MASTERDOWN',
  'CLUSTERDOWN',
  'TRYAGAIN',
  'MOVED',
  'NOPERM',
  'NOAUTH',
  'UNBLOCKED',
] as const;

export type RedisRefusal = (typeof REDIS_REFUSALS)[number];

/** `'not-sent'`: it cannot have run. `'unknown'`: it may have run. */
export type RedisOutcome = 'not-sent' | 'unknown';

/**
 * Redis did not answer, or refused for the moment: the connection is down or was lost, the deadline passed, or the server
 * answered one of {@link RedisRefusal}. What was asked for may be asked for again.
 *
 * `outcome` tells what is known: `'not-sent'` (it cannot have run) or `'unknown'` (it may have run: the socket died, or the
 * deadline passed, before a reply came; or the user had no right to a command in the middle of a script).
 */
export class RedisUnavailableError extends SluiceError {
  /** With which word the server refused it; undefined if no answer came. */
  readonly refusal: RedisRefusal | undefined;

  constructor(
    message: string,
    readonly outcome: RedisOutcome,
    options: { cause?: unknown; refusal?: RedisRefusal | undefined } = {},
  ) {
    super('SLUICE_REDIS_UNAVAILABLE', message, 'cause' in options ? { cause: options.cause } : undefined);
    this.refusal = options.refusal;
  }
}

/**
 * Redis refused a command for good: a key of another type (`WRONGTYPE`), a group that does not exist (`NOGROUP`), a syntax error.
 * Nothing is known to be down, and asking again will not help.
 */
export class RedisRefusedError extends SluiceError {
  constructor(
    message: string,
    /** What the server answered. It begins with a word in capitals, the kind of refusal. */
    readonly reply: string,
  ) {
    super('SLUICE_REDIS_REFUSED', message);
  }
}

/**
 * A newer release of this package keeps data in this queue or lock that this release does not know, so it was left alone:
 * nothing was changed. This happens in a rolling deploy, where a new feature is used before all processes are new, and after
 * a rollback. Another process, of the newer release, can do what was asked for. `uses` names the features.
 *
 * @example
 * if (isSluiceError(error, 'SLUICE_NEWER_DATA')) return reply.status(503);
 */
export class NewerDataError extends SluiceError {
  constructor(
    /** The key of the queue's stream or of the lock. */
    readonly key: string,
    /** What is not known. */
    readonly uses: readonly UnknownUse[],
  ) {
    super('SLUICE_NEWER_DATA', `${show(key)} was left alone: ${describeUses(uses)}`);
  }
}

/** Names the features, for a message. */
export function describeUses(uses: readonly UnknownUse[]): string {
  const names = uses.map(({ feature, since }) => (since === '?' ? feature : `${feature} (since ${since})`)).join(', ');
  return `a newer release of nestjs-sluice keeps data there that this release does not know: ${names}. Upgrade this process`;
}

/** The error for a server's refusal for good, or for a script's refusal to touch newer data. */
export function refusedError(message: string, reply: string): RedisRefusedError | NewerDataError {
  const [, uses, key] = NEWER.exec(reply) ?? [];
  if (uses === undefined || key === undefined) return new RedisRefusedError(message, reply);
  // `{key}:~uses`, or `key:~uses` if the key has a hash tag of its own.
  return new NewerDataError(key.replace(/^\{([^{}]*)\}$/, '$1'), unknownUses(uses));
}

const NEWER = new RegExp(`^${NEWER_DATA} (\\S+) in (.*):~uses`, 's');

/** True when Redis refused a command with this prefix (`NOSCRIPT`, `NOGROUP`, …), for the moment or for good; `''`: with any. */
export function isReplyError(error: unknown, prefix: string): boolean {
  if (isSluiceError(error, 'SLUICE_REDIS_REFUSED')) return (error as RedisRefusedError).reply.startsWith(prefix);
  return isUnavailable(error) && error.refusal?.startsWith(prefix) === true;
}

/**
 * True for what may pass: Redis did not answer, or refused for the moment. By its code: the connections may come from another
 * copy of this package.
 */
export function isUnavailable(error: unknown): error is RedisUnavailableError {
  return isSluiceError(error, 'SLUICE_REDIS_UNAVAILABLE');
}
