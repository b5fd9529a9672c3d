import 'reflect-metadata';

/** A class, abstract or not, with any constructor parameters. */
export type Class = abstract new (...args: never[]) => object;

/** How long the objects of a provider live, as far as Nest knows. */
export type ProviderScope = 'singleton' | 'request' | 'transient';

/** One decorated method of one provider: the argument of {@link Weaver.check}. */
export interface WovenSite {
  /** The provider's class; it may have inherited the method. */
  readonly targetClass: Class;
  readonly className: string;
  /** The class whose body carries the decorator. */
  readonly declaredBy: Class;
  readonly method: string;
  /** `'transient'` also for objects that `bindSluice` binds: there may be many of a class. */
  readonly scope: ProviderScope;
  /** The provider's object; absent for request-scoped and transient classes. */
  readonly instance?: object;
}

/** The parts of one use of a decorator. */
export interface Weaver<S extends object> {
  /** The decorator as users write it, for messages: `'@WithLock'`. */
  readonly decorator: string;
  /** The Nest provider token of the service. */
  readonly token: string;
  /**
   * True if the service holds its resource until an ongoing result (Observable, async iterable, stream) has ended.
   * Otherwise a method that returns such a result is refused with `SLUICE_BAD_RESULT`.
   */
  readonly holdsResults?: boolean;
  /**
   * True for a method on which the decorator does nothing by itself, such as a route that a guard protects: its calls run the
   * body as it is, without a service. Asked once per method, at its first call.
   *
   * @param metadata reads what any decorator of the method wrote
   */
  isIdle?(metadata: (key: unknown) => unknown): boolean;
  /**
   * Called while the app boots, once per provider and decorated method (also for a decorated method that a
   * subclass overrides: `super` still reaches it). May throw a SluiceError, which fails the boot.
   */
  check?(site: WovenSite, service: S): void;
}

/** One decorated method, as its class body declares it. */
export interface WovenMethod {
  readonly weaver: Weaver<object>;
  readonly key: string | symbol;
  readonly declaredBy: Class;
  /** The method as it was before. */
  readonly original: unknown;
}

const WOVEN = Symbol.for('sluice:woven');

/** Records a decorated method on the prototype that declares it. No later decorator can hide it there. */
export function noteWovenMethod(prototype: object, method: WovenMethod): void {
  const known = (Reflect.getOwnMetadata(WOVEN, prototype) ?? []) as readonly WovenMethod[];
  Reflect.defineMetadata(WOVEN, [...known, method], prototype);
}

/** The decorated methods of a prototype and of those it inherits from. */
export function wovenMethods(prototype: object | null): readonly WovenMethod[] {
  const found: WovenMethod[] = [];
  for (let at = prototype; at !== null; at = Reflect.getPrototypeOf(at)) {
    found.push(...((Reflect.getOwnMetadata(WOVEN, at) ?? []) as readonly WovenMethod[]));
  }
  return found;
}
