import { Injectable, type INestApplication, type ModuleMetadata } from '@nestjs/common';
import { expect } from '@jest/globals';

/** Every decorated method of the matrix looks like this; the word differs from call to call. */
export type WordMethod = (word: string) => Promise<string>;
export type WordDecorator = (
  target: object,
  key: string | symbol,
  descriptor: TypedPropertyDescriptor<WordMethod>,
) => void;

/** A method decorator that is put through the matrix. */
export interface DecoratorUnderTest {
  readonly name: string;
  /** The decorator for one method; `key` tells the methods apart. */
  decorate(key: string): WordDecorator;
  /** What one app imports for it. */
  imports(): NonNullable<ModuleMetadata['imports']>;
  /** How many calls the service of this app has taken so far. */
  callsTaken(app: INestApplication): number | Promise<number>;
}

/** What a row gets to build its classes. */
export interface MatrixKit {
  /** The decorator under test together with others, in the order that this run is about. */
  woven(key: string, ...others: MethodDecorator[]): WordDecorator;
  /** A word that no other call uses. */
  word(): string;
}

/** The classes of one row, the same for both apps. */
export interface Scenario {
  /** The row's module in one app; called once per app, so that each has values of its own. */
  metadata(): ModuleMetadata;
  /** Calls decorated methods, asserts their results, answers how many calls the service must have taken. */
  exercise(app: INestApplication): Promise<number>;
}

/** What {@link MatrixKit.woven} adds to every method, to see that it survives. */
export const PROBE = 'matrix:probe';

/** One way of reaching a decorated method. */
export interface MatrixRow {
  readonly title: string;
  build(kit: MatrixKit): Scenario;
}

/** A class with one decorated method that uses its object and its argument. */
export function greeterClass({ woven }: MatrixKit) {
  @Injectable()
  class Greeter {
    readonly greeting: string = 'hello';

    @woven('greet')
    async greet(word: string): Promise<string> {
      return `${this.greeting} ${word}`;
    }
  }
  return Greeter;
}

export type Greeter = InstanceType<ReturnType<typeof greeterClass>>;

export async function expectGreeting(kit: MatrixKit, greeter: Greeter): Promise<void> {
  const word = kit.word();
  await expect(greeter.greet(word)).resolves.toBe(`hello ${word}`);
}
