import { SluiceError } from '../../weave/index.js';
import { checkLimitName } from '../define-rate-limit.js';
import { declareSkip } from './declared-limits.js';

/**
 * Frees a route of the limits of its class and of the module's `routes`, or a class of the latter. With a name: of the limit of this
 * name only. A limit on the route itself stays.
 *
 * A name that no such limit has fails the boot.
 *
 * @throws SluiceError `SLUICE_BAD_DECORATION` on anything but a class or an instance method, `SLUICE_BAD_NAME`
 * @example
 * @Get('health')
 * @SkipRateLimit()
 * health() {}
 */
export function SkipRateLimit(name?: string): ClassDecorator & MethodDecorator {
  if (name !== undefined) checkLimitName(name);
  return (target: object, key?: string | symbol, descriptor?: PropertyDescriptor) => {
    if (key === undefined && typeof target === 'function') {
      declareSkip(target, name);
      return;
    }
    const method: unknown = descriptor?.value;
    if (typeof target === 'function' || typeof method !== 'function') {
      const message = `@SkipRateLimit on ${String(key)}: it decorates routes and their classes`;
      throw new SluiceError('SLUICE_BAD_DECORATION', message);
    }
    declareSkip(method, name);
  };
}
