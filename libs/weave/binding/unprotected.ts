import { unprotect } from './bound-service.js';
import { classPrototypeOf } from './class-prototype.js';
import { wovenMethods } from '../methods/woven-methods.js';

/**
 * For a unit test of a method's body, without an app: the decorated methods of this object run their bodies alone. There is no
 * lock, no cache and no eviction, and `currentLock()` is undefined. Methods that call each other run their bodies as well.
 * Returns the object.
 *
 * Other objects of its class are not affected. To test with locks and a cache, use `SluiceTestingModule`.
 *
 * @throws SluiceError `SLUICE_BOUND_TWICE` for an object that an app provides: in an app, methods stay protected
 *
 * @example
 * const shop = unprotected(new ShopService(fakeOrders));
 * expect(await shop.settle()).toBe(3);
 */
export function unprotected<T extends object>(object: T): T {
  for (const { weaver } of wovenMethods(classPrototypeOf(object))) unprotect(object, weaver.token);
  return object;
}
