import type { HeldResource, ResultHold } from './result-hold.js';

type Step = IteratorResult<unknown>;
/** An iterator, of which `return` and `throw` may be missing. */
type Source = AsyncIterator<unknown, unknown, unknown>;

/** Yields the values of `source`. The first `next` makes the iterator a consumer of the hold, and its end releases the hold. */
export class HeldIterator implements AsyncGenerator<unknown, unknown, unknown> {
  readonly #source: Source;
  readonly #hold: ResultHold;
  readonly #resource: HeldResource;
  /** The `next` calls that wait for a value. */
  readonly #waiting = new Set<(reason: unknown) => void>();
  #leave: (() => Promise<void>) | undefined;
  #done = false;
  /** The loss of the resource, until a call has reported it. */
  #lost: { readonly reason: unknown } | undefined;

  constructor(source: Source, hold: ResultHold, resource: HeldResource) {
    this.#source = source;
    this.#hold = hold;
    this.#resource = resource;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(...value: [] | [unknown]): Promise<Step> {
    return this.#step(() => this.#source.next(...value));
  }

  async return(value?: unknown): Promise<Step> {
    if (this.#done) return { done: true, value: await value };
    return this.#step(() => this.#source.return?.(value) ?? { done: true, value });
  }

  async throw(error: unknown): Promise<Step> {
    if (this.#done) throw error;
    return this.#step(async () => {
      if (this.#source.throw) return this.#source.throw(error);
      await this.#source.return?.();
      throw error;
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.return();
  }

  async #step(call: () => Step | PromiseLike<Step>): Promise<Step> {
    if (this.#lost) {
      const { reason } = this.#lost;
      this.#lost = undefined;
      throw reason;
    }
    if (this.#done) return { done: true, value: undefined };
    this.#leave ??= this.#enter();
    try {
      const step = await this.#orLost(call);
      if (step.done !== true) return step;
      this.#resource.assertHeld();
      await this.#end();
      return step;
    } catch (error) {
      await this.#end();
      throw error;
    }
  }

  /** The step, or the loss of the resource if that comes first. */
  #orLost(call: () => Step | PromiseLike<Step>): Promise<Step> {
    return new Promise<Step>((resolve, reject) => {
      const settle = <V>(how: (value: V) => void): ((value: V) => void) => {
        return (value) => {
          this.#waiting.delete(reject);
          how(value);
        };
      };
      this.#waiting.add(reject);
      Promise.resolve(this.#resource.run(async () => call())).then(settle(resolve), settle(reject));
    });
  }

  #enter(): () => Promise<void> {
    try {
      return this.#hold.enter((reason) => {
        this.#onLost(reason);
      });
    } catch (error) {
      this.#done = true;
      endIterator(this.#source);
      throw error;
    }
  }

  #onLost(reason: unknown): void {
    if (this.#done) return;
    this.#done = true;
    if (this.#waiting.size === 0) this.#lost = { reason };
    for (const reject of this.#waiting) reject(reason);
    endIterator(this.#source);
  }

  async #end(): Promise<void> {
    this.#done = true;
    await this.#leave?.();
  }
}

/** The same iterable: an iterator if `source` is one, else an object whose iterators are all held. */
export function heldIterable(source: object, hold: ResultHold, resource: HeldResource): AsyncIterable<unknown> {
  if (typeof (source as Partial<Source>).next === 'function') return new HeldIterator(source as Source, hold, resource);
  const iterable = source as AsyncIterable<unknown>;
  return { [Symbol.asyncIterator]: () => new HeldIterator(iterable[Symbol.asyncIterator](), hold, resource) };
}

/** Ends an iterator that has no consumer any more. Its consumer has the reason already, so no error is reported twice. */
export function endIterator(source: Partial<Source>): void {
  void (async () => source.return?.())().catch(() => {});
}
