import type { ExecutionContext } from '@nestjs/common';

/** The mark of such a function. Both copies of the package (ESM and CommonJS) know it. */
const MARK: unique symbol = Symbol.for('sluice:context-function') as never;

/** A function of a call's `ExecutionContext`: made by {@link fromContext}. */
export interface ContextFunction<V> {
  (context: ExecutionContext): V | Promise<V>;
  readonly [MARK]: true;
}

/**
 * Makes the key or the cost of a rate limit from Nest's `ExecutionContext`: on a route, on its class, and in the module's options.
 * A method that is not a route has no context: there, give a function of the method's arguments.
 *
 * @example
 * @RateLimit(Api, { by: fromContext((context) => context.switchToHttp().getRequest<Request>().user.tenant) })
 */
export function fromContext<V>(read: (context: ExecutionContext) => V | Promise<V>): ContextFunction<V> {
  return Object.assign((context: ExecutionContext) => read(context), { [MARK]: true } as const);
}

export function isContextFunction(value: unknown): value is ContextFunction<unknown> {
  return typeof value === 'function' && MARK in value;
}
