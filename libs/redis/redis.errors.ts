import { SluiceError, isSluiceError } from '../weave/index.js';

/**
 * Redis did not answer: the connection is down, was lost, or the deadline passed.
 *
 * `outcome` tells what is known: `'not-sent'` (it cannot have run) or `'unknown'` (it may have run: the socket
 * died, or the deadline passed, before a reply came).
 */
export class RedisUnavailableError extends SluiceError {
  constructor(
    message: string,
    readonly outcome: 'not-sent' | 'unknown',
    options?: { cause?: unknown },
  ) {
    super('SLUICE_REDIS_UNAVAILABLE', message, options);
  }
}

/** True when Redis refused a command with this prefix (`NOSCRIPT`, `NOGROUP`, …). */
export function isReplyError(error: unknown, prefix: string): boolean {
  return error instanceof Error && error.name === 'ReplyError' && error.message.startsWith(prefix);
}

/** True when Redis did not answer. By its code: the connections may come from another copy of this package. */
export function isUnavailable(error: unknown): error is RedisUnavailableError {
  return isSluiceError(error, 'SLUICE_REDIS_UNAVAILABLE');
}

/** True for what may pass: no answer, or a server that is loading, or was just made a replica by a failover. */
export function isTransient(error: unknown): boolean {
  return isUnavailable(error) || isReplyError(error, 'READONLY') || isReplyError(error, 'LOADING');
}
