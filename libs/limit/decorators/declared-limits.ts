import 'reflect-metadata';
import type { DeclaredLimit } from './rate-limit.options.js';

const LIMITS = Symbol.for('sluice:rate-limits');
const SKIPS = Symbol.for('sluice:rate-limit-skips');

/** Which inherited limits a route or class is free of: all of them, or those of these names. */
export type Skips = true | readonly string[];

/** Adds a limit to a class or a method's function. The decorator that is written first comes first. */
export function declareLimit(on: object, limit: DeclaredLimit): void {
  Reflect.defineMetadata(LIMITS, [limit, ...declaredLimits(on)], on);
}

/** The limits of a class, inherited ones too, or of a method's function. */
export function declaredLimits(on: object): readonly DeclaredLimit[] {
  return (Reflect.getMetadata(LIMITS, on) ?? []) as readonly DeclaredLimit[];
}

export function declareSkip(on: object, name: string | undefined): void {
  const known = skipsOf(on);
  Reflect.defineMetadata(SKIPS, name === undefined || known === true ? true : [...(known ?? []), name], on);
}

export function skipsOf(on: object): Skips | undefined {
  return Reflect.getMetadata(SKIPS, on) as Skips | undefined;
}
