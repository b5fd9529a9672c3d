import 'reflect-metadata';
import { asPromise } from './as-promise.js';
import { nameOfClass } from '../binding/bound-service.js';
import { type Class } from './woven-methods.js';

/** A method, for code that only passes it on. */
export type AnyMethod = (this: unknown, ...args: unknown[]) => unknown;

/** What does not change between the calls of one decorated method. */
export interface WovenFunction {
  /** The prototype that declares the method. */
  readonly prototype: object;
  readonly key: string | symbol;
  readonly original: AnyMethod;
  readonly wrapper: AnyMethod;
}

/** One call of a decorated method, on its way to the body. */
export class WovenCall {
  readonly self: object;
  readonly args: unknown[];
  readonly #function: WovenFunction;

  constructor(woven: WovenFunction, self: object, args: unknown[]) {
    this.#function = woven;
    this.self = self;
    this.args = args;
  }

  /** The name of the object's own class, which may have inherited the method. */
  get className(): string {
    return nameOfClass(this.self);
  }

  /** The class whose body carries the decorator. An override that calls `super` makes two calls, told apart by this. */
  get declaredBy(): Class {
    return this.#function.prototype.constructor as Class;
  }

  get method(): string {
    return String(this.#function.key);
  }

  /** The decorated function, with the reflect-metadata of the decorators below ours and of those directly above. */
  get fn(): AnyMethod {
    return this.#function.wrapper;
  }

  /**
   * The metadata that any decorator of this method wrote, wherever it stands: also above a third one that wrapped ours.
   * An override in a subclass is another method: what its decorators wrote does not count here.
   */
  metadata(key: unknown): unknown {
    const { prototype, key: name, wrapper } = this.#function;
    const found: unknown = Reflect.getMetadata(key, wrapper);
    if (found !== undefined) return found;
    const standing = (prototype as Record<string | symbol, unknown>)[name];
    return typeof standing === 'function' ? Reflect.getMetadata(key, standing) : undefined;
  }

  /** Runs the body on its object with its arguments. What it throws, also synchronously, is the rejection, `===`. */
  proceed(): Promise<unknown> {
    return asPromise(() => Reflect.apply(this.#function.original, this.self, this.args));
  }
}
