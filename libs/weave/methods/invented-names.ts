/** Minifiers make class names of up to so many characters. */
const MINIFIED_MAX = 3;

/** What compilers call classes that have no name of their own. */
const GENERATED = /^(?:default|class|_class)[_\d]*$/;

/** What `mixin()` of Nest calls a class: new in every process. */
const MIXIN = /^[\da-z]{21}$/;

/**
 * True for a class name that no person gave: of a minifier, a compiler or Nest's `mixin()`. Another build, or the next
 * process, may give the name to another class, so that it cannot be part of a name in Redis.
 */
export function isInventedName(name: string): boolean {
  return name.length <= MINIFIED_MAX || GENERATED.test(name) || MIXIN.test(name);
}
