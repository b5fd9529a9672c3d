import { inspect } from 'node:util';
import { SluiceError } from '../sluice.error.js';

/** The kinds of results that go on after the method returned. The values are the names used in messages. */
export type OngoingKind = 'Observable' | 'async iterable' | 'stream' | 'web stream' | 'StreamableFile';

/** The symbol of the Observable protocol, under all names that libraries use. */
const OBSERVABLE = ['@@observable', Symbol.for('observable')] as const;

type Members = Record<string | symbol, unknown>;

/**
 * The kind of a result that goes on after the method returned; undefined for a result that is complete.
 * `'unknown'`: the result has `subscribe` or `pipe`, but Sluice cannot tell when it ends.
 */
export function ongoingKind(value: unknown): OngoingKind | 'unknown' | undefined {
  if (value === null || (typeof value !== 'object' && typeof value !== 'function')) return undefined;
  const members = value as Members;
  const has = (name: string | symbol): boolean => typeof members[name] === 'function';
  if (has('getStream') && has('getHeaders')) return 'StreamableFile';
  const pipes = has('pipe');
  if (pipes && has('on') && (members._readableState ?? members._writableState)) return 'stream';
  if (isObservable(members)) return 'Observable';
  if (has('getReader') && has('pipeThrough')) return 'web stream';
  if (has(Symbol.asyncIterator)) return 'async iterable';
  return pipes || has('subscribe') ? 'unknown' : undefined;
}

/** The protocol method of an Observable, or rxjs' own shape (also of another copy or version of rxjs). */
function isObservable(members: Members): boolean {
  return (
    interopOf(members) !== undefined || (typeof members.subscribe === 'function' && typeof members.lift === 'function')
  );
}

/** The method that turns a foreign Observable (or a store that offers one) into an object with `subscribe(observer)`. */
export function interopOf(members: Members): ((this: unknown) => unknown) | undefined {
  const standard = (Symbol as { observable?: symbol }).observable;
  for (const name of standard === undefined ? OBSERVABLE : [standard, ...OBSERVABLE]) {
    if (typeof members[name] === 'function') return members[name] as () => unknown;
  }
  return undefined;
}

/**
 * The error for a result that the caller cannot use.
 *
 * @param site the name of the method in messages, such as `'Shop.events (@WithLock)'`
 */
export function badResult(site: string, kind: OngoingKind | 'unknown', value: unknown): SluiceError {
  return kind === 'unknown'
    ? new SluiceError(
        'SLUICE_BAD_RESULT',
        `${site} returned ${nameOf(value)} with a ${methodsOf(value)} method, and Sluice cannot tell when such a result ends. ` +
          'Return a promise of plain data, an Observable, an async iterable, a Node stream or a StreamableFile',
      )
    : new SluiceError(
        'SLUICE_BAD_RESULT',
        `${site} returned ${article(kind)}, which goes on after the method returned. Return the finished data instead, ` +
          `such as ${FINISHED[kind]}`,
      );
}

const FINISHED: Record<OngoingKind, string> = {
  Observable: 'await lastValueFrom(observable)',
  'async iterable': 'an array of its values',
  stream: "await buffer(stream) of 'node:stream/consumers'",
  'web stream': "await buffer(stream) of 'node:stream/consumers'",
  StreamableFile: 'a Buffer, from which the caller makes the StreamableFile',
};

function article(kind: OngoingKind): string {
  return `${/^[AOaeiou]/.test(kind) ? 'an' : 'a'} ${kind}`;
}

function methodsOf(value: unknown): string {
  const members = value as Members;
  return ['subscribe', 'pipe'].filter((name) => typeof members[name] === 'function').join(' and ');
}

function nameOf(value: unknown): string {
  const { constructor } = value as { constructor?: unknown };
  if (typeof constructor === 'function' && constructor.name !== '' && constructor !== Object) {
    return `${/^[AEIOU]/i.test(constructor.name) ? 'an' : 'a'} ${constructor.name}`;
  }
  return inspect(value, { depth: 0 });
}
