import 'reflect-metadata';
import { asPromise } from './as-promise.js';
import { nameOfClass } from '../binding/bound-service.js';
import { type Class } from './woven-methods.js';

/** Any method. */
export type AnyMethod = (this: unknown, ...args: unknown[]) => unknown;

/** The parts that all calls of one decorated method share. */
export interface WovenFunction {
  /** The prototype that declares the method. */
  readonly prototype: object;
  readonly key: string | symbol;
  readonly original: AnyMethod;
  readonly wrapper: AnyMethod;
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
    const { prototype, key: name, wrapper } = this.#function;
    const found: unknown = Reflect.getMetadata(key, wrapper);
    if (found !== undefined) return found;
    const standing = (prototype as Record<string | symbol, unknown>)[name];
    return typeof standing === 'function' ? Reflect.getMetadata(key, standing) : undefined;
  }

  /** Runs the body on its object with its arguments. An error of the body, sync or async, is the rejection, `===`. */
  proceed(): Promise<unknown> {
    return asPromise(() => Reflect.apply(this.#function.original, this.self, this.args));
  }
}
