import { NAME_MAX_BYTES, SluiceError, isLongerThan, isWellFormed, show } from '../weave/index.js';

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
      checkText('namespace', namespace, 'a non-empty string, or leave it out');
      if (isLongerThan(namespace, NAME_MAX_BYTES)) throw tooLong('namespace', namespace);
      // A colon is where a namespace ends: `shop:eu` and its queue `orders` would be `shop` and its queue `eu:orders`.
      if (/[{}:]/.test(namespace)) throw badName('namespace', namespace, 'free of braces and colons');
      if (namespace === LOCK) throw badName('namespace', namespace, 'another one: the keys of locks begin with it');
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

  /**
   * A key that the user chose, without the namespace. It is checked like a name, and must not be a key of Sluice's own.
   *
   * @throws SluiceError `SLUICE_BAD_NAME`
   */
  literal(kind: string, key: unknown): string {
    const checked = checkName(kind, key);
    if (checked.startsWith(`${this.#prefix}${LOCK}:`)) throw reserved(`${kind} name`, checked);
    return checked;
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
 * Checks the name of a lock, a stream or a plain key: a non-empty string of at most 1,024 bytes whose braces, if any, are one
 * non-empty hash tag, without the reserved marker. Names of other kinds than locks become keys as they are, so they must not
 * be a lock's key, or one of the cache or of a rate limit.
 *
 * @throws SluiceError `SLUICE_BAD_NAME`
 */
export function checkName(kind: string, name: unknown): string {
  const what = `${kind} name`;
  checkText(what, name, 'a non-empty string');
  if (isLongerThan(name, NAME_MAX_BYTES)) throw tooLong(what, name);
  if (name.includes(MARKER)) throw badName(what, name, `free of the reserved marker '${MARKER}'`);
  if (/[{}]/.test(name) && !/^[^{}]*\{[^{}]+\}[^{}]*$/.test(name)) {
    throw badName(what, name, 'free of braces, but for one non-empty hash tag as in {tenant}:name');
  }
  if (kind !== LOCK && (name.startsWith(`${LOCK}:`) || OWN_TAG.test(name))) throw reserved(what, name);
  return name;
}

/**
 * Checks a cache key: any non-empty string that text can be made of, of any length.
 *
 * @throws SluiceError `SLUICE_BAD_NAME`
 */
export function checkKey(key: unknown): string {
  checkText('cache key', key, 'a non-empty string');
  return key;
}

/** What the keys of locks begin with, after the namespace. */
const LOCK = 'lock';
/** The hash tags of the keys of the cache and of rate limits, of any namespace. */
const OWN_TAG = /\{(?:[^{}:]*:)?(?:cache|rl:[^{}]*)\}/;

function checkText(what: string, text: unknown, wanted: string): asserts text is string {
  if (typeof text !== 'string' || text === '') throw badName(what, text, wanted);
  if (!isWellFormed(text))
    throw badName(what, text, 'free of lone surrogates, which all become one character in Redis');
}

function tooLong(what: string, name: string): SluiceError {
  return badName(what, name, `at most ${NAME_MAX_BYTES} bytes long`);
}

function reserved(what: string, name: string): SluiceError {
  return badName(
    what,
    name,
    "none that begins with 'lock:' or has the hash tag of the cache or of a rate limit: such keys are Sluice's own",
  );
}

function badName(what: string, got: unknown, wanted: string): SluiceError {
  return new SluiceError('SLUICE_BAD_NAME', `${what} must be ${wanted}, got ${show(got)}`);
}
