import {
  BadRequestException,
  Catch,
  ConflictException,
  GatewayTimeoutException,
  HttpException,
  HttpStatus,
  InternalServerErrorException,
  Logger,
  PayloadTooLargeException,
  ServiceUnavailableException,
  type ArgumentsHost,
} from '@nestjs/common';
import { BaseExceptionFilter } from '@nestjs/core';
import { throwError, type Observable } from 'rxjs';
import { SluiceError, isSluiceError, type SluiceErrorCode } from '../weave/index.js';

/** Nest has no exception of its own for this status. */
class TooManyRequestsException extends HttpException {
  constructor(response: string | object, options: { cause: unknown }) {
    super(
      HttpException.createBody(response as string, 'Too Many Requests', HttpStatus.TOO_MANY_REQUESTS),
      HttpStatus.TOO_MANY_REQUESTS,
      options,
    );
  }
}

interface Answer {
  readonly as: new (response: string | object, options: { cause: unknown }) => HttpException;
  readonly message: string;
}

const BUSY: Answer = { as: ConflictException, message: 'Busy with another request for the same resource, try again' };
const INTERRUPTED: Answer = { as: ServiceUnavailableException, message: 'Could not be completed, try again' };
const UNAVAILABLE: Answer = { as: ServiceUnavailableException, message: 'Temporarily unavailable, try again' };
const CLOSING: Answer = { as: ServiceUnavailableException, message: 'Shutting down, try again' };
const TOO_SLOW: Answer = { as: GatewayTimeoutException, message: 'Took too long, try again' };
const TOO_LARGE: Answer = { as: PayloadTooLargeException, message: 'Too large' };
const BAD_REQUEST: Answer = { as: BadRequestException, message: 'Not accepted' };
const TOO_MANY: Answer = { as: TooManyRequestsException, message: 'Too many requests, try again later' };
/** A mistake in the app, not in the request. */
const FAULT: Answer = { as: InternalServerErrorException, message: 'Internal server error' };

/** The answer for each code. The text for the client names no lock, key, owner or host: these are for the log. */
const ANSWERS: Partial<Record<SluiceErrorCode, Answer>> = {
  SLUICE_LOCK_TIMEOUT: BUSY,
  SLUICE_LOCK_LOST: INTERRUPTED,
  SLUICE_STALE_TOKEN: INTERRUPTED,
  SLUICE_CACHE_LEASE_LOST: INTERRUPTED,
  SLUICE_CACHE_LOAD_ABANDONED: INTERRUPTED,
  SLUICE_REDIS_UNAVAILABLE: UNAVAILABLE,
  SLUICE_REDIS_UNREACHABLE: UNAVAILABLE,
  SLUICE_PUBLISH_UNCONFIRMED: UNAVAILABLE,
  SLUICE_NEWER_DATA: UNAVAILABLE,
  SLUICE_CLOSED: CLOSING,
  SLUICE_QUEUE_CLOSED: CLOSING,
  SLUICE_CACHE_LOADER_TIMEOUT: TOO_SLOW,
  SLUICE_TASK_TIMEOUT: TOO_SLOW,
  SLUICE_TASK_WAIT_TIMEOUT: TOO_SLOW,
  SLUICE_QUEUE_PAYLOAD_TOO_LARGE: TOO_LARGE,
  SLUICE_QUEUE_INVALID_PAYLOAD: BAD_REQUEST,
  SLUICE_BAD_NAME: BAD_REQUEST,
  SLUICE_RATE_LIMITED: TOO_MANY,
};

/** The name under which Nest logs errors that it answers with 500. */
const logger = new Logger('ExceptionsHandler');

/** What the filter catches, for `instanceof`: errors are recognised by brand, so those of any copy of the package count. */
abstract class AnySluiceError extends SluiceError {
  static override [Symbol.hasInstance](error: unknown): boolean {
    return isSluiceError(error);
  }
}

/**
 * Answers HTTP requests that fail with an error of this package:
 *
 * | status | when                                                                                                              |
 * | ------ | ----------------------------------------------------------------------------------------------------------------- |
 * | 409    | the lock stayed busy                                                                                              |
 * | 503    | Redis did not answer or refused, the lock or lease was lost, the app shuts down, a publish is unconfirmed         |
 * | 429    | a rate limit refused the call                                                                                     |
 * | 504    | a cache's loader or a task took longer than allowed                                                               |
 * | 413    | the payload of a task is too large                                                                                |
 * | 400    | the payload does not fit the queue's schema, or a name made of the request is not allowed                          |
 * | 500    | every other code: a mistake in the app                                                                             |
 *
 * An answer with status 429 has `Retry-After`. The body is `{ statusCode, error, message, code }`. It names no lock, key, owner or host. Errors that are answered with 500
 * are logged, as Nest does with every error that it does not know.
 *
 * GraphQL clients get the same answer as an error of the field. RPC callers (microservices) get `{ status: 'error', code,
 * message }`. Under other transports the filter throws the error again.
 *
 * The filter is not active by itself: provide it, for the whole app or on a controller. Other errors go to other filters, as
 * without it.
 *
 * @example
 * providers: [{ provide: APP_FILTER, useClass: SluiceExceptionFilter }]
 */
@Catch(AnySluiceError)
export class SluiceExceptionFilter extends BaseExceptionFilter {
  override catch(error: unknown, host: ArgumentsHost): Observable<never> | undefined {
    const transport = host.getType<'http' | 'rpc' | 'ws' | 'graphql'>();
    if (!isSluiceError(error) || !(transport === 'http' || transport === 'rpc' || transport === 'graphql')) throw error;
    const { code } = error;
    const { as: HttpError, message } = ANSWERS[error.code] ?? FAULT;
    if (HttpError === InternalServerErrorException) logger.error(error);
    const answer = new HttpError(message, { cause: error });
    // A filter of an RPC handler has to return the failure. If it throws, the error is logged, and the caller waits for ever.
    if (transport === 'rpc') return throwError(() => ({ status: 'error', code, message }));
    const coded = new HttpError({ ...(answer.getResponse() as object), code }, { cause: error });
    if (transport === 'graphql') throw coded;
    this.#tellWhen(error, host);
    super.catch(coded, host);
    return undefined;
  }

  /** A rate limit knows when it has room again. A call that costs more than the limit never fits. */
  #tellWhen(error: SluiceError, host: ArgumentsHost): void {
    const { retryAfterMs } = error as { retryAfterMs?: unknown };
    if (error.code !== 'SLUICE_RATE_LIMITED' || !Number.isFinite(retryAfterMs)) return;
    const adapter = this.applicationRef ?? this.httpAdapterHost?.httpAdapter;
    adapter?.setHeader(
      host.switchToHttp().getResponse(),
      'Retry-After',
      String(Math.ceil((retryAfterMs as number) / 1_000)),
    );
  }
}
