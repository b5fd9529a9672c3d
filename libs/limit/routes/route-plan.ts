import type { ExecutionContext } from '@nestjs/common';
import type { KnownLimit } from '../deciding/known-limit.js';
import type { RateLimitService } from '../rate-limit.service.js';
import type { ClientAddress } from './client-address.js';
import { ClientLeftException, hasLeft } from './client-leaves.js';
import type { LimitOfCall } from '../decorators/charged-call.js';
import type { ContextFunction } from '../decorators/context-function.js';
import { declaredLimits, skipsOf, type Skips } from '../decorators/declared-limits.js';
import type { CountedOutcome, DeclaredLimit, RouteKey } from '../decorators/rate-limit.options.js';
import { metadataOf, routeKindsOf } from './route-kinds.js';
import { SluiceError } from '../../weave/index.js';

/** One limit of a route. */
interface PlannedLimit {
  readonly known: KnownLimit;
  readonly by: RouteKey;
  readonly cost: number | ContextFunction<number>;
  readonly count: CountedOutcome | undefined;
  readonly maxWaitMs: number | undefined;
}

/** The limits of one route, the most specific first: of the route itself, of its class, of the module. */
export type RoutePlan = readonly PlannedLimit[];

const NONE: RoutePlan = [];

/**
 * The limits of a route. A limit that several places name counts as the most specific of them says.
 *
 * @param isGlobal whether the module's `routes` count as well
 */
export function planOf(service: RateLimitService, handler: object, owner: object, isGlobal: boolean): RoutePlan {
  if (routeKindsOf(metadataOf(handler)).length === 0) return NONE;
  const { routes, by } = service.routing;
  const module: DeclaredLimit = { refs: routes, by, cost: 1, count: undefined, maxWaitMs: undefined };
  const ownSkips = skipsOf(handler);
  const planned = new Map<string, PlannedLimit>();
  const add = (declared: readonly DeclaredLimit[], ...skips: (Skips | undefined)[]): void => {
    for (const { refs, by: key = by, cost = 1, count, maxWaitMs } of declared) {
      for (const ref of refs) {
        const known = service.known(ref);
        const isSkipped = skips.some((skip) => skip === true || skip?.includes(known.name));
        if (isSkipped || planned.has(known.name)) continue;
        const limit = { known, by: key as RouteKey, cost: cost as PlannedLimit['cost'], count, maxWaitMs };
        planned.set(known.name, limit);
      }
    }
  };
  add(declaredLimits(handler));
  add(declaredLimits(owner), ownSkips);
  if (isGlobal) add([module], ownSkips, skipsOf(owner));
  return [...planned.values()];
}

/** The limits of one call, with its keys and costs. */
export function limitsOfCall(
  plan: RoutePlan,
  context: ExecutionContext,
  addresses: ClientAddress,
): readonly LimitOfCall[] | Promise<readonly LimitOfCall[]> {
  const limits: LimitOfCall[] = [];
  const waiting: Promise<unknown>[] = [];
  for (const planned of plan) {
    const { known, by, cost, count, maxWaitMs } = planned;
    const key = by === 'ip' ? addressOf(context, addresses, known.name) : by(context);
    const units = typeof cost === 'number' ? cost : cost(context);
    const at = limits.length;
    const limit = { known, count, maxWaitMs };
    limits.push({ ...limit, key: key as string, cost: units as number });
    if (typeof key !== 'object' && typeof units !== 'object') continue;
    waiting.push(Promise.all([key, units]).then((made) => (limits[at] = { ...limit, key: made[0], cost: made[1] })));
  }
  return waiting.length === 0 ? limits : Promise.all(waiting).then(() => limits);
}

function addressOf(context: ExecutionContext, addresses: ClientAddress, name: string): string {
  const address = addresses.of(context);
  if (address !== undefined) return address;
  if (hasLeft(context)) throw new ClientLeftException();
  const site = `${context.getClass().name}.${context.getHandler().name}`;
  const message =
    `rate limit '${name}' of ${site} counts by 'ip', but the call has no address: it is a message, or it came through a Unix ` +
    'socket from a proxy that is not trusted. Give by: fromContext((context) => …)';
  throw new SluiceError('SLUICE_BAD_OPTION', message);
}
