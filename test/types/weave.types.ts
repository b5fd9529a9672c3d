/** Compile-only: what the types of the method decorators accept and refuse. */
import { Readable } from 'node:stream';
import { of, type Observable } from 'rxjs';
import { type AsyncMethodDecorator, type KeyFunction, weaveMethod } from '../../libs/weave/index.js';

interface Order {
  readonly productId: string;
}

declare function done(...used: unknown[]): Promise<void>;

/** A decorator with the overloads that a feature would give it. */
function Woven<T extends object, A extends unknown[]>(
  key: string | KeyFunction<T, A>,
  options: { onBusy: 'skip' },
): AsyncMethodDecorator<T, A, undefined>;
function Woven<T extends object, A extends unknown[], V>(
  key: string | KeyFunction<T, A>,
  options: { onBusy: (error: Error) => V | Promise<V> },
): AsyncMethodDecorator<T, A, V>;
function Woven<T extends object, A extends unknown[]>(
  key: string | KeyFunction<T, A>,
  options?: { onBusy?: 'throw' },
): AsyncMethodDecorator<T, A>;
function Woven(): AsyncMethodDecorator {
  return weaveMethod({ decorator: '@Woven', token: 'types' }, (_service, call) => call.proceed());
}

export abstract class Accepted {
  private readonly region = 'eu';

  @Woven('daily')
  async plain(): Promise<void> {
    return done();
  }

  @Woven('daily')
  async anyParameters(order: Order, count = 1): Promise<number> {
    await done(order);
    return count;
  }

  @Woven((order: Order) => `stock:${order.productId}`)
  async leading(order: Order, note: string): Promise<void> {
    return done(order, note);
  }

  @Woven(() => 'constant')
  async noParameters(id: string): Promise<void> {
    return done(id);
  }

  @Woven((id: string, count?: number) => `${id}:${count ?? 0}`)
  async optional(id: string, count?: number): Promise<void> {
    return done(id, count);
  }

  @Woven((id: string, more?: number) => `${id}:${more ?? 0}`)
  async keyTakesMoreOptionally(id: string): Promise<void> {
    return done(id);
  }

  @Woven((first: string) => first)
  async restOfMethod(...ids: string[]): Promise<void> {
    return done(ids);
  }

  @Woven((...ids: string[]) => ids.join())
  async rest(first: string, second: string): Promise<void> {
    return done(first, second);
  }

  @Woven(function (this: Accepted, id: string) {
    return `${this.region}:${id}`;
  })
  async usesThis(id: string): Promise<void> {
    return done(id);
  }

  @Woven('daily', { onBusy: 'skip' })
  async skipsVoid(): Promise<void> {
    return done();
  }

  @Woven('daily', { onBusy: 'skip' })
  async skipsOptional(): Promise<string | undefined> {
    return this.region;
  }

  @Woven('daily', { onBusy: () => 0 })
  async answersBusy(): Promise<number> {
    return 1;
  }

  @Woven((id: number) => String(id))
  async generic<I extends number>(id: I): Promise<I> {
    return id;
  }

  @Woven('daily')
  async *generator(): AsyncGenerator<number> {
    yield 1;
  }

  @Woven((id: string) => id)
  iterates(id: string): AsyncIterable<string> {
    return this.labelled(id);
  }

  @Woven((id: string) => id)
  observes(id: string): Observable<string> {
    return of(id);
  }

  @Woven('daily')
  async streams(): Promise<Readable> {
    return Readable.from([]);
  }

  async overloaded(id: string): Promise<string>;
  async overloaded(id: string, count: number): Promise<string[]>;
  @Woven((id: string) => id)
  async overloaded(id: string, count?: number): Promise<string | string[]> {
    return count === undefined ? id : [id];
  }

  private async *labelled(id: string): AsyncGenerator<string> {
    yield id + this.region;
  }

  @Woven('daily')
  protected async notPublic(): Promise<void> {
    return done();
  }

  @Woven('daily')
  async [Symbol.asyncDispose](): Promise<void> {
    return done();
  }
}

export class Refused {
  // @ts-expect-error a sync method
  @Woven('daily')
  sync(): string {
    return '';
  }

  // @ts-expect-error the key function takes a part of the type
  @Woven((id: string) => id)
  async widerType(id: string | number): Promise<void> {
    return done(id);
  }

  // @ts-expect-error a stream is returned by a promise
  @Woven('daily')
  stream(): Readable {
    return Readable.from([]);
  }

  // @ts-expect-error a method that may or may not return a promise
  @Woven('daily')
  sometimes(): string | Promise<string> {
    return '';
  }

  // @ts-expect-error the key function takes another type
  @Woven((order: Order) => order.productId)
  async otherType(id: number): Promise<void> {
    return done(id);
  }

  // @ts-expect-error the key function needs a second argument
  @Woven((id: string, part: string) => id + part)
  async tooFew(id: string): Promise<void> {
    return done(id);
  }

  // @ts-expect-error the method's argument may be absent
  @Woven((id: string) => id)
  async maybeAbsent(id?: string): Promise<void> {
    return done(id);
  }

  // @ts-expect-error every argument reaches the rest parameter
  @Woven((...ids: string[]) => ids.join())
  async restOfOtherType(id: string, count: number): Promise<void> {
    return done(id, count);
  }

  // @ts-expect-error the key function's `this` is another class
  @Woven(function (this: Map<string, string>, id: string) {
    return `${this.size}${id}`;
  })
  async otherThis(id: string): Promise<void> {
    return done(id);
  }

  // @ts-expect-error a key is a string
  @Woven((id: string) => id.length)
  async keyNotText(id: string): Promise<void> {
    return done(id);
  }

  // @ts-expect-error skipping returns undefined, which the promise does not allow
  @Woven('daily', { onBusy: 'skip' })
  async skipsValue(): Promise<string> {
    return '';
  }

  // @ts-expect-error what onBusy returns is not what the promise allows
  @Woven('daily', { onBusy: () => 'busy' })
  async answersOtherType(): Promise<number> {
    return 1;
  }

  // @ts-expect-error a static method
  @Woven('daily')
  static async shared(): Promise<void> {
    return done();
  }

  // @ts-expect-error a property
  @Woven('daily')
  readonly property = async (): Promise<void> => {};

  // @ts-expect-error an accessor
  @Woven('daily')
  get accessor(): Promise<string> {
    return Promise.resolve('');
  }
}

// @ts-expect-error a whole class
@Woven('daily')
export class Whole {}
