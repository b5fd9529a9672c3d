import { Inject, Injectable, type CanActivate, type ExecutionContext } from '@nestjs/common';
import { HttpAdapterHost, ModulesContainer } from '@nestjs/core';
import type { RateLimitedError } from '../limit.errors.js';
import { LIMIT_SERVICE } from '../limit.tokens.js';
import type { RateLimitService } from '../rate-limit.service.js';
import { chargeCall, RefusedCall, type NamedDecision } from '../decorators/charged-call.js';
import { ClientAddress } from './client-address.js';
import { watchClient } from './client-leaves.js';
import { isGuardedBySubclass, isOnRoute } from './guard-places.js';
import { awaitOutcome } from './outcomes.js';
import { draftFields, retryAfterSeconds, xRateLimitFields } from './rate-limit-headers.js';
import { refusalException } from './refusal.exception.js';
import { PROBLEM_TYPE, labelWhenWritten } from './problem-type.js';
import { limitsOfCall, planOf, type RoutePlan } from './route-plan.js';
import type { RouteKind } from './route-kinds.js';

/** The mark of a call that a guard has charged. The guards of one call share its context, whatever copy of the package they are of. */
const CHARGED = Symbol.for('sluice:rate-limited-call');

type Marked = ExecutionContext & { [CHARGED]?: true };

/**
 * Enforces rate limits on routes: HTTP, GraphQL, WebSocket gateways and message handlers.
 *
 * `@RateLimit` brings the guard to its route or class. As a global guard, it also enforces the module's option `routes`. A call is
 * charged once, by however many of these guards it passes.
 *
 * Every HTTP response gets the header fields `RateLimit-Policy` and `RateLimit`; a refusal also `Retry-After`.
 *
 * @throws HttpException with status 429 for HTTP and GraphQL, `WsException` and `RpcException` elsewhere; see `refuse`
 * @example
 * providers: [{ provide: APP_GUARD, useClass: RateLimitGuard }]
 */
@Injectable()
export class RateLimitGuard implements CanActivate {
  readonly #service: RateLimitService;
  readonly #adapters: HttpAdapterHost;
  readonly #modules: ModulesContainer;
  readonly #addresses = new ClientAddress();
  /** By class, then by handler: subclasses share the handlers that they inherit. */
  readonly #plans = new WeakMap<object, WeakMap<object, RoutePlan>>();
  #isGlobal: boolean | undefined;

  constructor(
    @Inject(LIMIT_SERVICE) service: RateLimitService,
    @Inject(HttpAdapterHost) adapters: HttpAdapterHost,
    @Inject(ModulesContainer) modules: ModulesContainer,
  ) {
    this.#service = service;
    this.#adapters = adapters;
    this.#modules = modules;
  }

  canActivate(context: ExecutionContext): boolean | Promise<boolean> {
    const plan = this.#planOf(context);
    if (plan.length === 0 || (context as Marked)[CHARGED] === true) return true;
    (context as Marked)[CHARGED] = true;
    return this.#charge(context, plan);
  }

  /**
   * Refuses a call: throws the exception of its transport. Override this method for another answer. The header fields are set
   * before.
   *
   * @example
   * class AppRateLimitGuard extends RateLimitGuard {
   *   protected override refuse(context: ExecutionContext, error: RateLimitedError): Promise<never> {
   *     throw new HttpException({ error: 'slow down', retryAfterMs: error.retryAfterMs }, 429);
   *   }
   * }
   */
  protected async refuse(context: ExecutionContext, error: RateLimitedError, decided: NamedDecision): Promise<never> {
    const kind = context.getType<RouteKind>();
    if (kind === 'http' && !labelWhenWritten(context.switchToHttp().getResponse()))
      this.#setHeader(context, 'Content-Type', PROBLEM_TYPE);
    throw await refusalException(kind, error, decided);
  }

  #planOf(context: ExecutionContext): RoutePlan {
    const [owner, handler] = [context.getClass(), context.getHandler()];
    let ofClass = this.#plans.get(owner);
    if (ofClass === undefined) this.#plans.set(owner, (ofClass = new WeakMap()));
    let plan = ofClass.get(handler);
    if (plan === undefined) {
      this.#isGlobal ??= !isOnRoute(this, this.#modules);
      // A guard of the app's own answers in its own way.
      const defers = !this.#isGlobal && isGuardedBySubclass(this, owner, handler, RateLimitGuard);
      plan = defers ? [] : planOf(this.#service, handler, owner, this.#isGlobal);
      ofClass.set(handler, plan);
    }
    return plan;
  }

  async #charge(context: ExecutionContext, plan: RoutePlan): Promise<true> {
    const client = plan.some(({ known }) => known.isPaced) ? watchClient(context) : undefined;
    const asked = this.#ask(context, plan, client?.signal);
    const call = await (client === undefined ? asked : asked.finally(client.end));
    if (call instanceof RefusedCall) {
      this.#setFields(context, [call.decided]);
      this.#setHeader(context, 'Retry-After', String(retryAfterSeconds(call.decided.decision)));
      return this.refuse(context, call.error, call.decided);
    }
    this.#setFields(context, call.decided);
    if (call.isCounted) awaitOutcome(context, call);
    return true;
  }

  #ask(context: ExecutionContext, plan: RoutePlan, signal: AbortSignal | undefined): ReturnType<typeof chargeCall> {
    const limits = limitsOfCall(plan, context, this.#addresses);
    if (!(limits instanceof Promise)) return chargeCall(this.#service, limits, signal);
    return limits.then((made) => chargeCall(this.#service, made, signal));
  }

  #setFields(context: ExecutionContext, decided: readonly NamedDecision[]): void {
    const { headers } = this.#service.routing;
    if (headers === 'none' || context.getType() !== 'http') return;
    if (headers !== 'x-ratelimit') this.#setAll(context, draftFields(decided));
    if (headers !== 'draft') this.#setAll(context, xRateLimitFields(decided));
  }

  #setAll(context: ExecutionContext, fields: ReturnType<typeof draftFields>): void {
    for (const [name, value] of fields) this.#setHeader(context, name, value);
  }

  #setHeader(context: ExecutionContext, name: string, value: string): void {
    if (context.getType() !== 'http') return;
    this.#adapters.httpAdapter.setHeader(context.switchToHttp().getResponse(), name, value);
  }
}
