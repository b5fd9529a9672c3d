import type { ExecutionContext } from '@nestjs/common';
import type { ChargedCall } from '../decorators/charged-call.js';

const WAITING = Symbol.for('sluice:rate-limit-outcomes');

/** What guards and interceptors of one call both get: for HTTP the request, else the list of arguments. */
interface Carrier {
  [WAITING]?: { readonly handler: unknown; readonly call: ChargedCall }[];
}

interface HttpResponse {
  readonly statusCode: number;
  readonly writableFinished?: boolean;
  /** The response of Node, behind that of Fastify. */
  readonly raw?: HttpResponse;
  once(event: 'close', listener: () => void): unknown;
}

/** From this status on, a response says that the call failed. */
const FAILED_FROM = 400;

const carrierOf = (context: ExecutionContext): Carrier =>
  context.getType() === 'http' ? context.getArgByIndex<Carrier>(0) : (context.getArgs() as Carrier);

/** Keeps a charged call for the interceptor of its route, which learns the outcome. */
export function awaitOutcome(context: ExecutionContext, call: ChargedCall): void {
  const carrier = carrierOf(context);
  if (carrier[WAITING] === undefined) Object.defineProperty(carrier, WAITING, { value: [], configurable: true });
  carrier[WAITING]?.push({ handler: context.getHandler(), call });
  if (context.getType() !== 'http') return;
  // Another guard may refuse the call, or answer it. Then no interceptor runs.
  const response = context.switchToHttp().getResponse<HttpResponse>();
  const raw = response.raw ?? response;
  raw.once('close', () => {
    // A client that left before it was answered gets nothing back.
    if (takeWaiting(context).includes(call) && raw.writableFinished === true) call.settle(raw.statusCode < FAILED_FROM);
  });
}

/** The charged calls of this call that wait for its outcome. Each is taken once. */
export function takeWaiting(context: ExecutionContext): ChargedCall[] {
  const waiting = carrierOf(context)[WAITING] ?? [];
  const handler = context.getHandler();
  const mine = waiting.filter((each) => each.handler === handler);
  for (const each of mine) waiting.splice(waiting.indexOf(each), 1);
  return mine.map(({ call }) => call);
}

/** Whether a call whose handler did not throw succeeded. */
export function hasSucceeded(context: ExecutionContext): boolean {
  return context.getType() !== 'http' || context.switchToHttp().getResponse<HttpResponse>().statusCode < FAILED_FROM;
}
