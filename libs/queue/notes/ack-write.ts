import { badOption, isWellFormed } from '../../weave/index.js';

/** A text; a number is written as its text. */
export type AckValue = string | number;

/**
 * One write that `task.onAck` notes: a command of Redis in lower case, the key, and what the command needs. It does what the command
 * of Redis does; `expire` is in seconds.
 */
export type AckWrite =
  | readonly ['set', key: string, value: AckValue]
  | readonly ['del' | 'unlink', key: string]
  | readonly ['incrby' | 'decrby', key: string, by: number]
  | readonly ['hset', key: string, field: AckValue, value: AckValue]
  | readonly ['hdel', key: string, field: AckValue, ...more: AckValue[]]
  | readonly ['hincrby', key: string, field: AckValue, by: number]
  | readonly ['sadd' | 'srem' | 'zrem', key: string, member: AckValue, ...more: AckValue[]]
  | readonly ['zadd', key: string, score: number, member: AckValue]
  | readonly ['rpush', key: string, value: AckValue, ...more: AckValue[]]
  | readonly ['expire', key: string, seconds: number];

/** Fields, members or values in one write: far below the limit of Lua's `unpack` (8,000). */
const ITEMS_MOST = 1_000;
/** 100 years. */
const EXPIRE_MOST_S = 3_155_760_000;

type Encode = (value: unknown, path: string) => string;

interface Form {
  /** What stands after the key. */
  readonly args: readonly Encode[];
  /** Whether the last of them may be repeated. */
  readonly repeats?: true;
  /** How it is written, for messages. */
  readonly shown: string;
}

const text: Encode = (value, path) => {
  if (typeof value === 'number' && Number.isFinite(value)) return String(value);
  if (typeof value !== 'string')
    throw badOption(path, 'a string or a finite number: JSON.stringify anything else', value);
  if (!isWellFormed(value)) throw badOption(path, 'free of lone surrogates, which all become one character', value);
  return value;
};
const integer: Encode = (value, path) => {
  if (Number.isSafeInteger(value)) return String(value);
  throw badOption(path, 'a whole number from -(2 ** 53 - 1) to 2 ** 53 - 1', value);
};
const score: Encode = (value, path) => {
  if (typeof value === 'number' && Number.isFinite(value)) return String(value);
  throw badOption(path, 'a finite number', value);
};
const seconds: Encode = (value, path) => {
  if (Number.isSafeInteger(value) && (value as number) >= 1 && (value as number) <= EXPIRE_MOST_S) return String(value);
  throw badOption(path, `a whole number of seconds from 1 to ${EXPIRE_MOST_S}`, value);
};

const items = (name: string): Form => ({ args: [text], repeats: true, shown: `, ${name}, …` });
const FORMS: Readonly<Record<AckWrite[0], Form>> = {
  set: { args: [text], shown: ', value' },
  del: { args: [], shown: '' },
  unlink: { args: [], shown: '' },
  incrby: { args: [integer], shown: ', by' },
  decrby: { args: [integer], shown: ', by' },
  hset: { args: [text, text], shown: ', field, value' },
  hdel: items('field'),
  hincrby: { args: [text, integer], shown: ', field, by' },
  sadd: items('member'),
  srem: items('member'),
  zadd: { args: [score, text], shown: ', score, member' },
  zrem: items('member'),
  rpush: items('value'),
  expire: { args: [seconds], shown: ', seconds' },
};

/**
 * Checks one write, and returns its words as they are sent.
 *
 * @param keyOf checks the key
 * @throws SluiceError `SLUICE_BAD_OPTION`, which names the form of the write; what `keyOf` throws
 */
export function wordsOf(write: unknown, path: string, keyOf: (key: unknown) => string): readonly string[] {
  if (!Array.isArray(write)) throw badOption(path, "a list such as ['set', key, value]", write);
  const [name, key, ...args] = write as readonly unknown[];
  const form = typeof name === 'string' && Object.hasOwn(FORMS, name) ? FORMS[name as AckWrite[0]] : undefined;
  if (form === undefined) {
    const known = Object.keys(FORMS).map((each) => `'${each}'`);
    throw badOption(`${path}[0]`, `one of ${known.join(', ')}, in lower case`, name);
  }
  const { length } = form.args;
  if (write.length < 2 || args.length < length || (args.length > length && form.repeats !== true)) {
    throw badOption(path, `['${String(name)}', key${form.shown}]`, write);
  }
  if (args.length > ITEMS_MOST) {
    throw badOption(path, `at most ${ITEMS_MOST} items long: spread them over several writes`, args.length);
  }
  const checkedKey = keyOf(key);
  return [
    name as string,
    checkedKey,
    ...args.map((arg, i) => (form.args[Math.min(i, length - 1)] ?? text)(arg, `${path}[${i + 2}]`)),
  ];
}
