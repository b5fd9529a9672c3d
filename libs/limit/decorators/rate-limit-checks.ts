import { SluiceError, type WovenSite } from '../../weave/index.js';
import type { RateLimitService } from '../rate-limit.service.js';
import { isContextFunction } from './context-function.js';
import { declaredLimits } from './declared-limits.js';
import type { DeclaredLimit } from './rate-limit.options.js';
import { metadataOf, routeKindsOf, type RouteKind } from '../routes/route-kinds.js';

/**
 * Checks the limits of one decorated method while the app boots.
 *
 * @throws SluiceError `SLUICE_BAD_OPTION`, `SLUICE_BAD_DECORATION`
 */
export function checkMethod(
  { declaredBy, className, method }: WovenSite,
  limits: readonly DeclaredLimit[],
  service: RateLimitService,
): void {
  const site = `@RateLimit on ${className}.${method}`;
  const decorated: unknown = (declaredBy.prototype as Record<string, unknown>)[method];
  const kinds = routeKindsOf(metadataOf(decorated));
  if (kinds.length === 0) {
    for (const limit of limits) checkPlain(site, limit, service);
    const returned: unknown = Reflect.getMetadata('design:returntype', declaredBy.prototype as object, method);
    if (SYNC.includes(returned)) {
      const message = `${site}: the method is no route, and returns before the limit is asked. Make it async`;
      throw new SluiceError('SLUICE_BAD_DECORATION', message);
    }
    return;
  }
  const kept = declaredLimits(decorated as object);
  if (limits.some((limit) => !kept.includes(limit))) {
    const message = `${site}: a decorator above it has replaced the method, and lost the limit. Write @RateLimit above that decorator`;
    throw new SluiceError('SLUICE_BAD_DECORATION', message);
  }
  checkRoute(site, limits, kinds, service);
}

/** Return types that TypeScript writes down, of methods that return no promise. */
const SYNC: readonly unknown[] = [String, Number, Boolean, Array, Symbol, BigInt];

/** @throws SluiceError `SLUICE_BAD_OPTION` */
export function checkRoute(
  site: string,
  limits: readonly DeclaredLimit[],
  kinds: readonly RouteKind[],
  service: RateLimitService,
): void {
  for (const limit of limits) {
    checkLimit(site, limit, service);
    const { by = service.routing.by, cost } = limit;
    for (const [name, value] of Object.entries({ by, cost })) {
      if (typeof value !== 'function' || isContextFunction(value)) continue;
      throw bad(
        `${site}: ${name} is a function of the method's arguments, which a route does not have yet when it is limited. ` +
          `Give ${name}: fromContext((context) => …)`,
      );
    }
    if (by === 'ip' && kinds.includes('rpc'))
      throw bad(`${site}: a message has no address, so by: 'ip' cannot be. Give by: fromContext((context) => …)`);
  }
}

function checkPlain(site: string, limit: DeclaredLimit, service: RateLimitService): void {
  checkLimit(site, limit, service);
  const { by, cost } = limit;
  if (by === 'ip') throw bad(`${site}: the method is no route, so its calls have no address. Give by: (…args) => key`);
  for (const [name, value] of Object.entries({ by, cost })) {
    if (!isContextFunction(value)) continue;
    throw bad(
      `${site}: the method is no route, so its calls have no context. Give ${name} a function of the arguments`,
    );
  }
}

function checkLimit(site: string, { refs, count, maxWaitMs }: DeclaredLimit, service: RateLimitService): void {
  const known = refs.map((ref) => service.known(ref));
  const paced = known.find(({ isPaced }) => isPaced);
  if (count !== undefined && paced !== undefined)
    throw bad(`${site}: count is not for '${paced.name}', whose calls take turns (mode: 'pace')`);
  if (maxWaitMs !== undefined && paced === undefined)
    throw bad(`${site}: maxWaitMs is for limits with mode: 'pace', and '${known[0]?.name}' has none`);
}

const bad = (message: string): SluiceError => new SluiceError('SLUICE_BAD_OPTION', message);
