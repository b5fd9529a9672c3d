import { SluiceError, isInventedName, type Class, type WovenCall, type WovenSite } from '../../weave/index.js';
import { hashArguments } from './hash-arguments.js';

/**
 * Default keys of decorated methods without a `key`: `Class.method:hash of the arguments`, in the namespace. The boot fails if
 * two different objects would share such a key.
 */
export class DefaultKeys {
  readonly #namespace: string | undefined;
  readonly #known = new Map<string, { readonly targetClass: Class; readonly instance: object | undefined }>();

  constructor(namespace: string | undefined) {
    this.#namespace = namespace;
  }

  /** @throws SluiceError `SLUICE_CACHE_KEY_REQUIRED` saying why */
  check({ targetClass, className, method, scope, instance }: WovenSite): void {
    const refuse = (why: string): SluiceError =>
      new SluiceError(
        'SLUICE_CACHE_KEY_REQUIRED',
        `${className || 'an anonymous class'}.${method} needs a key, @CacheStampedeSafe({ key: (…) => … }): ${why}`,
      );
    if (this.#namespace === undefined) {
      throw refuse(
        'without a namespace, other apps on this Redis may have a class of that name (or give SluiceModule one)',
      );
    }
    if (scope !== 'singleton') {
      throw refuse(
        `its objects are ${scope}, and what tells them apart (a tenant, a user) would not be part of a default key`,
      );
    }
    if (className === '') throw refuse('its class has no name to tell it from others');
    if (isInventedName(className)) {
      throw refuse(
        `a minifier, a compiler or a mixin may have made the class name '${className}', and another build may give it to another class ` +
          '(or keep names: esbuild --keep-names, terser keep_classnames)',
      );
    }
    if (method.startsWith('Symbol(')) throw refuse('symbols of one description are not told apart by a default key');
    const other = this.#known.get(className);
    if (other !== undefined && other.targetClass !== targetClass) {
      throw refuse('another decorated class has the same name');
    }
    if (other !== undefined && other.instance !== instance) {
      throw refuse(
        'its class is provided more than once, and what tells the objects apart (a tenant, a database) would not be part of a ' +
          'default key (or provide it once, and export it to the other modules)',
      );
    }
    this.#known.set(className, { targetClass, instance });
  }

  keyOf({ self, className, declaredBy, method, args }: WovenCall): string {
    // An override that calls `super` makes two calls of one name: they must not wait for one another.
    // Classes are compared, not their names: a base class may have the same.
    const site = declaredBy === self.constructor ? className : `${className}:${declaredBy.name}`;
    return `${site}.${method}:${hashArguments(args)}`;
  }
}
