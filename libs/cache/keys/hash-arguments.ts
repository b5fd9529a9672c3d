import { createHash } from 'node:crypto';
import { DEPTH_MAX, SluiceError, clip } from '../../weave/index.js';
import { describe, extraOf, kindOf, pathOf } from '../codec/data-kinds.js';

/**
 * A hash of a call's arguments. Equal data gives equal hashes in every process. The order of an object's keys, a Map's entries
 * and a Set's members does not matter. The hash is 128 bits of SHA-256, in 22 characters, over a text in which every value has
 * one form.
 *
 * The result is frozen: another one would make every default key a miss in half of the fleet during a rolling update.
 *
 * @throws SluiceError `SLUICE_CACHE_BAD_ARGUMENTS` naming the path of a part that is not data (a function, a symbol, an
 *   instance of a class such as a request, a socket, an entity), of a cycle, or of a part more than 200 levels deep
 */
export function hashArguments(args: readonly unknown[]): string {
  const text = write(args, [], new Set());
  return createHash('sha256').update(text).digest('base64url').slice(0, 22);
}

type Steps = (string | number)[];

function write(value: unknown, path: Steps, above: Set<object>): string {
  switch (typeof value) {
    case 'string':
      return JSON.stringify(value);
    case 'bigint':
      return `${value}n`;
    case 'number':
    case 'boolean':
    case 'undefined':
      // -0 is written as 0, as Map and Set see it.
      return String(value);
    case 'object':
      break;
    default:
      throw unusable(path, describe(value));
  }
  if (value === null) return 'null';
  // The first step is the argument itself.
  if (path.length > DEPTH_MAX) throw unusable(path, `more than ${DEPTH_MAX} levels deep`);
  if (above.has(value)) throw unusable(path, 'a reference to something that contains it');
  above.add(value);
  const text = writeObject(value, path, above);
  above.delete(value);
  return text;
}

function writeObject(value: object, path: Steps, above: Set<object>): string {
  const part = (child: unknown, step: string | number): string => {
    path.push(step);
    const text = write(child, path, above);
    path.pop();
    return text;
  };
  const kind = kindOf(value);
  const extra = kind === undefined ? describe(value) : extraOf(value, kind);
  if (extra !== undefined) throw unusable(path, extra);
  switch (kind) {
    case 'array':
      return `[${Array.from(value as unknown[], part).join()}]`;
    case 'object': {
      const record = value as Record<string, unknown>;
      const entries = Object.keys(record).map((key) => `${JSON.stringify(key)}:${part(record[key], key)}`);
      return `{${entries.sort().join()}}`;
    }
    case 'date':
      return `Date(${(value as Date).getTime()})`;
    case 'map': {
      const entries = Array.from(
        value as Map<unknown, unknown>,
        ([key, child], i) => `${part(key, i)}=>${part(child, i)}`,
      );
      return `Map{${entries.sort().join()}}`;
    }
    case 'set':
      return `Set{${Array.from(value as Set<unknown>, part)
        .sort()
        .join()}}`;
    default: {
      const { buffer, byteOffset, byteLength, [Symbol.toStringTag]: type } = value as Uint8Array;
      return `${type}(${Buffer.from(buffer, byteOffset, byteLength).toString('base64')})`;
    }
  }
}

function unusable([first, ...steps]: Steps, what: string): SluiceError {
  return new SluiceError(
    'SLUICE_CACHE_BAD_ARGUMENTS',
    `argument ${Number(first) + 1}${steps.length > 0 ? `, its ${clip(pathOf(steps))},` : ''} is ${what}, and no key can be made of it. ` +
      'Give the decorator a key: @CacheStampedeSafe({ key: (…) => … })',
  );
}
