import { Catch, ConflictException, ServiceUnavailableException, type ArgumentsHost } from '@nestjs/common';
import { BaseExceptionFilter } from '@nestjs/core';
import { SluiceError, isSluiceError } from '../weave/index.js';

/** By code; the text for the client names no lock, owner or host: those are for the log. */
const ANSWERS = {
  SLUICE_LOCK_TIMEOUT: { as: ConflictException, message: 'Busy with another request for the same resource, try again' },
  SLUICE_LOCK_LOST: { as: ServiceUnavailableException, message: 'Could not be completed, try again' },
  SLUICE_STALE_TOKEN: { as: ServiceUnavailableException, message: 'Could not be completed, try again' },
  SLUICE_REDIS_UNAVAILABLE: { as: ServiceUnavailableException, message: 'Temporarily unavailable, try again' },
  SLUICE_CLOSED: { as: ServiceUnavailableException, message: 'Shutting down, try again' },
} as const;

type AnsweredCode = keyof typeof ANSWERS;

function isAnswered(error: unknown): error is SluiceError & { code: AnsweredCode } {
  return isSluiceError(error) && Object.hasOwn(ANSWERS, error.code);
}

/** What the filter catches, for `instanceof`: errors are told by brand and code, of whichever copy of the package. */
abstract class AnsweredError extends SluiceError {
  static override [Symbol.hasInstance](error: unknown): boolean {
    return isAnswered(error);
  }
}

/**
 * Answers HTTP requests that fail on a lock: **409** when it stayed busy (`LockTimeoutError`), **503** when it was lost (`LockLostError`, `StaleTokenError`), Redis did
 * not answer, or the app shuts down. The body is `{ statusCode, error, message, code }`; who holds the lock is not told to
 * clients.
 *
 * On request only: provide it, for the whole app or on a controller. Other errors go to other filters, as without it; under
 * other transports than HTTP it throws again what it caught.
 *
 * @example
 * providers: [{ provide: APP_FILTER, useClass: SluiceExceptionFilter }]
 */
@Catch(AnsweredError)
export class SluiceExceptionFilter extends BaseExceptionFilter {
  override catch(error: unknown, host: ArgumentsHost): void {
    if (!isAnswered(error) || host.getType() !== 'http') throw error;
    const { as: HttpError, message } = ANSWERS[error.code];
    const answer = new HttpError(message, { cause: error });
    super.catch(new HttpError({ ...(answer.getResponse() as object), code: error.code }, { cause: error }), host);
  }
}
