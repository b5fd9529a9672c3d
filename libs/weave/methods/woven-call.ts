import 'reflect-metadata';
import { asPromise } from './as-promise.js';
import { nameOfClass } from '../binding/bound-service.js';
import { type Class, type Weaver } from './woven-methods.js';
import { discardResult } from '../results/hold-until-end.js';
import { badResult, ongoingKind } from '../results/ongoing-result.js';

/** Any method. */
export type AnyMethod = (this: unknown, ...args: unknown[]) => unknown;

/** The parts that all calls of one decorated method share. */
export interface WovenFunction {
  /** The prototype that declares the method. */
  readonly prototype: object;
  readonly key: string | symbol;
  readonly original: AnyMethod;
  readonly wrapper: AnyMethod;
  readonly weaver: Weaver<never>;
}

/** The metadata that any decorator of the method wrote, above or below its weaver. */
export function metadataOf({ prototype, key: name, wrapper }: Omit<WovenFunction, 'weaver'>, key: unknown): unknown {
  const found: unknown = Reflect.getMetadata(key, wrapper);
  if (found !== undefined) return found;
  const standing = (prototype as Record<string | symbol, unknown>)[name];
  return typeof standing === 'function' ? Reflect.getMetadata(key, standing) : undefined;
}

/** One call of a decorated method. The body has not run yet. */
export class WovenCall {
  readonly self: object;
  readonly args: unknown[];
  readonly #function: WovenFunction;

  constructor(woven: WovenFunction, self: object, args: unknown[]) {
    this.#function = woven;
    this.self = self;
    this.args = args;
  }

  /** The name of the class of the object. This class may have inherited the method. */
  get className(): string {
    return nameOfClass(this.self);
  }

  /** The class that declares the method. An override that calls `super` makes two calls with different `declaredBy`. */
  get declaredBy(): Class {
    return this.#function.prototype.constructor as Class;
  }

  get method(): string {
    return String(this.#function.key);
  }

  /** The wrapper, with the metadata of the decorators below this one and of those directly above it. */
  get fn(): AnyMethod {
    return this.#function.wrapper;
  }

  /**
   * The metadata that any decorator of this method wrote, above or below this one. It is found even if a third decorator
   * above has wrapped the method again. An override in a subclass is another method: its metadata is not read.
   */
  metadata(key: unknown): unknown {
    return metadataOf(this.#function, key);
  }

  /** The method and its decorator, for messages: `'Shop.settle (@WithLock)'`. */
  get site(): string {
    return `${this.className}.${this.method} (${this.#function.weaver.decorator})`;
  }

  /**
   * Runs the body on its object with its arguments. If the body fails, sync or async, the promise rejects with that very error.
   *
   * @throws SluiceError `SLUICE_BAD_RESULT` if the body returned an ongoing result, unless the decorator holds results
   */
  proceed(): Promise<unknown> {
    const outcome = asPromise(() => Reflect.apply(this.#function.original, this.self, this.args));
    return this.#function.weaver.holdsResults === true ? outcome : outcome.then((result) => this.#complete(result));
  }

  #complete(result: unknown): unknown {
    const kind = ongoingKind(result);
    if (kind === undefined) return result;
    const error = badResult(this.site, kind, result);
    if (kind !== 'unknown') discardResult(kind, result as object, error);
    throw error;
  }
}
