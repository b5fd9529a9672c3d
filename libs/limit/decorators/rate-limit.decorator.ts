import 'reflect-metadata';
import { UseGuards, UseInterceptors } from '@nestjs/common';
import { SluiceError, weaveMethod, type AsyncMethodDecorator, type Weaver, type WovenCall } from '../../weave/index.js';
import type { RateLimitRef } from '../define-rate-limit.js';
import { LIMIT_SERVICE } from '../limit.tokens.js';
import type { RateLimitService } from '../rate-limit.service.js';
import { RefusedCall, chargeCall, type LimitOfCall } from './charged-call.js';
import { declareLimit } from './declared-limits.js';
import { checkMethod } from './rate-limit-checks.js';
import { RateLimitGuard } from '../routes/rate-limit.guard.js';
import { RateLimitInterceptor } from '../routes/rate-limit.interceptor.js';
import {
  resolveRateLimit,
  type DeclaredLimit,
  type MethodRateLimitOptions,
  type RouteRateLimitOptions,
} from './rate-limit.options.js';
import { routeKindsOf } from '../routes/route-kinds.js';

/** A decorator of routes, of their classes, and of methods. */
export type RateLimitDecorator = ClassDecorator & MethodDecorator;

/** The key of a method's calls that share one count. */
const ALL = 'all';

/** The limits of each woven method, the outermost decorator's first. Neighbouring decorators share one entry. */
const limitsOf = new WeakMap<object, DeclaredLimit[]>();

/**
 * Limits how often something is called, in the whole fleet. What the decorator stands on decides:
 *
 * - **On a route** (of a controller, resolver, gateway, or a message handler) or **on the class of routes**, `RateLimitGuard` enforces
 *   it, which the decorator brings along. `by` and `cost` are given the call's context, through `fromContext`. A refusal is an
 *   `HttpException` with status 429 (or the exception of the transport).
 * - **On any other method** of a provider or controller, every call is limited, also `this.method()` and handlers of tasks. `by` and
 *   `cost` are given the method's object and arguments. A refused call rejects with `RateLimitedError`; a task is put off until
 *   `retryAfterMs`, without an attempt.
 *
 * Each limit is charged once per call, and all of them or none: limits of one key in one round trip, limits of other keys one after
 * the other, in the order of the decorators, with a refund if a later one refuses. On a limit with `mode: 'pace'`, the call waits
 * for its turn, up to `maxWaitMs`. If the first argument has a `signal`, as a `Task` has, its abort ends the wait.
 *
 * A wrong limit or option fails the boot, as does a context function on a method that is no route, or a function of arguments on a
 * route.
 *
 * @throws SluiceError `SLUICE_BAD_OPTION`, `SLUICE_BAD_DECORATION`
 * @example
 * @Post('login')
 * @RateLimit(Login, { by: 'ip', count: 'failures' })
 * login(@Body() credentials: Credentials) {}
 *
 * @RateLimit(Partner, { by: (order: Order) => order.account })
 * async send(order: Order): Promise<void> {}
 */
export function RateLimit(
  limits: RateLimitRef | readonly RateLimitRef[],
  options?: RouteRateLimitOptions,
): RateLimitDecorator;
export function RateLimit<T extends object, A extends unknown[]>(
  limits: RateLimitRef | readonly RateLimitRef[],
  options: MethodRateLimitOptions<T, A>,
): AsyncMethodDecorator<T, A>;
export function RateLimit(limits: unknown, options?: object): RateLimitDecorator & AsyncMethodDecorator {
  const declared = resolveRateLimit(limits, options);
  return (target: object, key?: string | symbol, descriptor?: PropertyDescriptor) => {
    if (key === undefined && typeof target === 'function') limitClass(target, declared);
    else limitMethod(target, key as string | symbol, descriptor ?? {}, declared);
  };
}

function limitClass(target: NewableFunction, declared: DeclaredLimit): void {
  declareLimit(target, declared);
  UseGuards(RateLimitGuard)(target);
  if (declared.count !== undefined) UseInterceptors(RateLimitInterceptor)(target);
}

function limitMethod(
  target: object,
  key: string | symbol,
  descriptor: PropertyDescriptor,
  declared: DeclaredLimit,
): void {
  const known = limitsOf.get(descriptor.value as object);
  if (known === undefined) weave([declared], target, key, descriptor);
  else known.unshift(declared);
  declareLimit(descriptor.value as object, declared);
  if (known === undefined) UseGuards(RateLimitGuard)(target, key, descriptor);
  if (declared.count !== undefined) UseInterceptors(RateLimitInterceptor)(target, key, descriptor);
}

function weave(limits: DeclaredLimit[], target: object, key: string | symbol, descriptor: PropertyDescriptor): void {
  const weaver: Weaver<RateLimitService> = {
    decorator: '@RateLimit',
    token: LIMIT_SERVICE,
    // An ongoing result has no outcome that units could be given back for.
    get holdsResults() {
      return limits.every(({ count }) => count === undefined);
    },
    isIdle: (metadata) => routeKindsOf(metadata).length > 0,
    check: (site, service) => {
      checkMethod(site, limits, service);
    },
  };
  weaveMethod(weaver, (service, call) => limitedCall(service, call, limits))(target, key, descriptor);
  limitsOf.set(descriptor.value as object, limits);
}

async function limitedCall(
  service: RateLimitService,
  call: WovenCall,
  limits: readonly DeclaredLimit[],
): Promise<unknown> {
  const all = limitsOfCall(service, call, limits);
  const charged = await chargeCall(service, all, all.some(({ known }) => known.isPaced) ? signalOf(call) : undefined);
  if (charged instanceof RefusedCall) throw charged.error;
  if (!charged.isCounted) return call.proceed();
  let isSuccess = false;
  try {
    const result = await call.proceed();
    isSuccess = true;
    return result;
  } finally {
    charged.settle(isSuccess);
  }
}

/** What ends a wait for a turn: the signal of the first argument, as of a task. Looked at only if there may be a wait. */
function signalOf({ args: [first] }: WovenCall): AbortSignal | undefined {
  if (typeof first !== 'object' || first === null || !('signal' in first)) return undefined;
  return first.signal instanceof AbortSignal ? first.signal : undefined;
}

function limitsOfCall(service: RateLimitService, call: WovenCall, limits: readonly DeclaredLimit[]): LimitOfCall[] {
  return limits.flatMap(({ refs, by, cost = 1, count, maxWaitMs }) => {
    const key = typeof by === 'function' ? textFrom(by, call) : ALL;
    const units = typeof cost === 'function' ? (Reflect.apply(cost, call.self, call.args) as number) : cost;
    return refs.map((ref) => ({ known: service.known(ref), key, cost: units, count, maxWaitMs }));
  });
}

function textFrom(by: (...args: never[]) => unknown, call: WovenCall): string {
  const key: unknown = Reflect.apply(by, call.self, call.args);
  if (typeof key === 'string') return key;
  throw new SluiceError('SLUICE_BAD_NAME', `${call.site}: its \`by\` must return a string, got ${typeof key}`);
}
