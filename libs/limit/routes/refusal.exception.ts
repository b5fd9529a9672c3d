import { HttpException, HttpStatus } from '@nestjs/common';
import type { RateLimitedError } from '../limit.errors.js';
import type { NamedDecision } from '../decorators/charged-call.js';
import { PROBLEM, retryAfterSeconds } from './rate-limit-headers.js';
import type { RouteKind } from './route-kinds.js';

const MESSAGE = 'Too many requests, try again later';
/** Redis does not answer, and the limit says `onUnavailable: 'deny'`: the client has done nothing wrong. */
const UNAVAILABLE = 'Temporarily unavailable, try again later';

/** The answer to a refused HTTP request or GraphQL field. It names no key. */
class RefusedRequestException extends HttpException {
  constructor(kind: 'http' | 'graphql', error: RateLimitedError, { names, decision }: NamedDecision) {
    const isQuota = decision.decidedBy !== 'policy';
    const status = isQuota ? HttpStatus.TOO_MANY_REQUESTS : HttpStatus.SERVICE_UNAVAILABLE;
    const title = isQuota ? MESSAGE : UNAVAILABLE;
    // The body of HTTP is a problem of RFC 9457. GraphQL servers pass on a body that looks as that of Nest's exceptions.
    const head =
      kind === 'http'
        ? { type: `${PROBLEM}#${isQuota ? 'quota-exceeded' : 'temporary-reduced-capacity'}`, title, status }
        : { statusCode: status, message: title };
    const retryAfter = retryAfterSeconds(decision);
    const violated = violatedNames(names, decision);
    super({ ...head, code: error.code, 'violated-policies': violated, retryAfter }, status, { cause: error });
    this.message = title;
  }
}

/** The names of the limits that had no room, as the header fields write them. */
function violatedNames(names: readonly string[], { limits, violated }: NamedDecision['decision']): string[] {
  const isViolated = (i: number): boolean => violated.includes(limits[i]?.name ?? '');
  return names.filter((_, i) => isViolated(i));
}

/** What a refused call throws: the exception of its transport, whose package is loaded at the first refusal. */
export async function refusalException(
  kind: RouteKind,
  error: RateLimitedError,
  decided: NamedDecision,
): Promise<Error> {
  if (kind === 'http' || kind === 'graphql') return new RefusedRequestException(kind, error, decided);
  const { code, retryAfterMs } = error;
  const answer = { status: 'error', code, message: MESSAGE, retryAfterMs: finite(retryAfterMs) };
  if (kind === 'ws') {
    const { WsException } = await import('@nestjs/websockets');
    return new WsException(answer);
  }
  const { RpcException } = await import('@nestjs/microservices');
  return new RpcException(answer);
}

/** JSON has no `Infinity`. */
const finite = (ms: number): number | null => (Number.isFinite(ms) ? ms : null);
