import { inspect } from 'node:util';
import { SluiceError } from '../weave/index.js';

/** Reserved: it separates a key from its side keys. */
const MARKER = ':~';

/**
 * Builds and checks every key and channel of one namespace.
 *
 * A Redis Cluster places a key by the text in its first `{…}`, else by the whole key. So `{k}:~x` always lands
 * beside `k`, without configuration; and a name that brings its own hash tag keeps it: `k:~x`.
 *
 * @see https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/#hash-tags
 */
export class Keyspace {
  readonly #prefix: string;

  /** @param namespace prefixes every key and channel; none if omitted. */
  constructor(readonly namespace?: string) {
    if (namespace !== undefined) {
      if (typeof namespace !== 'string' || namespace === '') {
        throw badName('namespace', namespace, 'a non-empty string, or leave it out');
      }
      if (/[{}]/.test(namespace) || namespace.includes(MARKER)) {
        throw badName('namespace', namespace, `free of braces and of the reserved marker '${MARKER}'`);
      }
    }
    this.#prefix = namespace === undefined ? '' : `${namespace}:`;
  }

  /**
   * The main key of a lock or a stream: the namespace, then `prefix`, then the checked name.
   *
   * @throws SluiceError `SLUICE_BAD_NAME` naming what is wrong with the name
   */
  main(kind: string, prefix: string, name: unknown): string {
    return this.#prefix + prefix + checkName(kind, name);
  }

  /** A key that lives beside `main`, in the same Cluster slot: `{main}:~suffix`. */
  side(main: string, suffix: string): string {
    return main.includes('{') ? `${main}${MARKER}${suffix}` : `{${main}}${MARKER}${suffix}`;
  }

  /** A hash tag of this namespace: `{shop:cache}`. Keys after it share one slot whatever they contain. */
  tag(name: string): string {
    return `{${this.#prefix}${name}}`;
  }

  /** A pub/sub channel. Channels ignore the database index, so it is part of the name. */
  channel(name: string, db: number): string {
    return `${this.#prefix}${MARKER}${name}:${db}`;
  }
}

/**
 * Checks the name of a lock or a stream: a non-empty string whose braces, if any, are one non-empty hash tag,
 * without the reserved marker.
 *
 * @throws SluiceError `SLUICE_BAD_NAME`
 */
export function checkName(kind: string, name: unknown): string {
  if (typeof name !== 'string' || name === '') throw badName(`${kind} name`, name, 'a non-empty string');
  if (name.includes(MARKER)) throw badName(`${kind} name`, name, `free of the reserved marker '${MARKER}'`);
  if (/[{}]/.test(name) && !/^[^{}]*\{[^{}]+\}[^{}]*$/.test(name)) {
    throw badName(`${kind} name`, name, 'free of braces, but for one non-empty hash tag as in {tenant}:name');
  }
  return name;
}

/**
 * Checks a cache key: any non-empty string that text can be made of. Lone surrogates cannot: encoded, all are the same.
 *
 * @throws SluiceError `SLUICE_BAD_NAME`
 */
export function checkKey(key: unknown): string {
  if (typeof key !== 'string' || key === '') throw badName('cache key', key, 'a non-empty string');
  if (LONE_SURROGATE.test(key)) throw badName('cache key', key, 'free of lone surrogates');
  return key;
}

const LONE_SURROGATE = /\p{Surrogate}/u;

function badName(what: string, got: unknown, wanted: string): SluiceError {
  return new SluiceError(
    'SLUICE_BAD_NAME',
    `${what} must be ${wanted}, got ${inspect(got, { breakLength: Infinity })}`,
  );
}
