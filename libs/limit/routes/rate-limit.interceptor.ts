import { Injectable, type CallHandler, type ExecutionContext, type NestInterceptor } from '@nestjs/common';
import { tap, type Observable } from 'rxjs';
import { hasSucceeded, takeWaiting } from './outcomes.js';

/**
 * Gives units back by the outcome of a call, for rate limits with `count`. `@RateLimit` brings it along.
 *
 * A call whose client leaves before it ends stays charged.
 */
@Injectable()
export class RateLimitInterceptor implements NestInterceptor {
  intercept(context: ExecutionContext, next: CallHandler): Observable<unknown> {
    const calls = takeWaiting(context);
    if (calls.length === 0) return next.handle();
    const settle = (isSuccess: boolean): void => {
      for (const call of calls) call.settle(isSuccess);
    };
    return next.handle().pipe(
      tap({
        complete: () => {
          settle(hasSucceeded(context));
        },
        error: () => {
          settle(false);
        },
      }),
    );
  }
}
