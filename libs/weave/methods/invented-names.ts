/** Minifiers make class names of up to this many characters. */
const MINIFIED_MAX = 3;

/** The names that compilers give to classes without a name of their own. */
const GENERATED = /^(?:default|class|_class)[_\d]*$/;

/** The name that Nest's `mixin()` gives to a class. It is new in every process. */
const MIXIN = /^[\da-z]{21}$/;

/**
 * True for a class name that no person chose, but a minifier, a compiler or Nest's `mixin()`. Another build, or the next process,
 * may give the name to another class. So the name cannot be part of a name in Redis.
 */
export function isInventedName(name: string): boolean {
  return name.length <= MINIFIED_MAX || GENERATED.test(name) || MIXIN.test(name);
}
