import { ReplyError } from 'ioredis';
import { REDIS_REFUSALS, type RedisOutcome, type RedisRefusal } from '../redis.errors.js';

const ServerError = ReplyError as new (message: string) => Error;

/** Every error reply begins with a word in capitals. */
const KIND = /^[A-Z][A-Z0-9]*(?= |$)/;

/**
 * True for what a server answered, false for what happened on the way to it. Never by the error's name, which a minifier
 * renames in ioredis 5. A client of the user may stand on another copy of ioredis, with a class of its own: then the text tells.
 */
export function isServerError(error: Error): boolean {
  const { message } = error;
  // Errors of the operating system may begin with capitals as well, but have a code.
  return error instanceof ServerError || (!Object.hasOwn(error, 'code') && KIND.test(message));
}

/** The server's text without the parts that it repeats of the command, which may hold a payload or a password. */
export function replyText(error: Error): string {
  return error.message.replace(/, with args beginning with:.*/s, '');
}

/** What a refusal by a server in cluster mode means here, for the error that a user sees; '' for all other refusals. */
export function hintOf(reply: string): string {
  if (reply.startsWith('MOVED')) {
    return '. The server is a node of a Redis Cluster and does not have the slot of this key. Give one that has all slots';
  }
  if (reply.startsWith('CROSSSLOT')) {
    return '. In cluster mode, the keys of one call must have one hash tag in their names, as in {orders}:new and {orders}:old';
  }
  return '';
}

/** How a script is refused one of its commands: by Redis 7.0, and by newer servers (seen on Redis 8.0.2, Valkey 8.1.1 and 9.1.2). */
const SCRIPT_WITHOUT_RIGHTS = /^(ERR The user executing the script can't|(ERR|NOPERM) ACL failure in script)/;

const KNOWN: ReadonlySet<string> = new Set(REDIS_REFUSALS);

/** With which word a server refuses for the moment, and whether something may have run; undefined if it refuses for good. */
export function refusalOf(reply: string): { refusal: RedisRefusal; outcome: RedisOutcome } | undefined {
  // Rights are checked command by command, so half of a script may have run. Other refusals come before its first write.
  if (SCRIPT_WITHOUT_RIGHTS.test(reply)) return { refusal: 'NOPERM', outcome: 'unknown' };
  const kind = KIND.exec(reply)?.[0];
  if (kind === undefined || !KNOWN.has(kind)) return undefined;
  // A blocked read is ended as well when its stream is deleted, which does not pass.
  if (kind === 'UNBLOCKED' && !reply.includes('instance state changed')) return undefined;
  return { refusal: kind as RedisRefusal, outcome: 'not-sent' };
}

/** Whether the server knows no such user or password: connecting again will not help. */
export function isDenied(error: Error | undefined): boolean {
  return error !== undefined && isServerError(error) && /^(WRONGPASS|NOAUTH|ERR invalid password)/.test(error.message);
}

/** The parts of a socket's error that explain it. The rest is left out: ioredis puts the command and its arguments on it. */
const TOLD = ['code', 'errno', 'syscall', 'address', 'port', 'hostname', 'reason', 'library'] as const;

/**
 * The same error without the command that it happened to: that one may carry payloads, cached values, or the password.
 *
 * Several addresses of one host that all failed come as one error without a text: then their texts are joined.
 */
export function cleanError(error: Error): Error {
  const parts = error instanceof AggregateError ? error.errors.map((each) => (each as Error).message) : [];
  const message = error.message === '' ? [...new Set(parts)].join(', ') : replyText(error);
  const clean = new Error(message);
  clean.name = isServerError(error) ? 'ReplyError' : error.name;
  const known = error as unknown as Record<string, unknown>;
  for (const name of TOLD) {
    const value = known[name];
    if (typeof value === 'string' || typeof value === 'number') Object.assign(clean, { [name]: value });
  }
  return clean;
}
