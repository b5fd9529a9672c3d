import type { LockHolder } from '../../lock.inspection.js';
import { processOf } from '../owner.js';

/** Another acquisition holds the lock. */
export interface Busy {
  state: 'busy';
  /** Milliseconds until the holder's lease ends; -1: it never ends; -2: it has just ended. */
  ttlMs: number;
  /** The last token that was minted before this answer: any later grant has a higher one. */
  fence: number;
  holder: LockHolder | undefined;
  /** The place in the queue, as text (so that µs keep their digits); '0': no place. */
  place: string;
}

/** The caller holds the lock. */
export interface Granted {
  state: 'granted';
  token: number;
  /** The token as Redis wrote it, if the reply was text. */
  text?: string;
}

export type Acquired = Granted | Busy;

/** `'pending'`: the instant is granted to another acquisition, whose run has not begun. */
export type AcquiredTick = Acquired | { state: 'done' } | { state: 'pending' };

/** `owner, fence, record`: the values of the lock's key, of its fence and of its holder's record. */
export type HolderReply = [owner: string | null, fence: string | null, record: string | null];

type Reply = string | 2 | 3 | [0, number, string, string, ...HolderReply];

export function decodeAcquiredTick(reply: unknown): AcquiredTick {
  const answer = reply as Reply;
  if (typeof answer === 'string') return { state: 'granted', token: Number(answer), text: answer };
  if (answer === 2) return { state: 'done' };
  if (answer === 3) return { state: 'pending' };
  const [, ttlMs, fence, place, ...holder] = answer;
  return { state: 'busy', ttlMs, fence: tokenIn(fence) ?? 0, holder: decodeHolder(...holder), place };
}

export function decodeAcquired(reply: unknown): Acquired {
  return decodeAcquiredTick(reply) as Acquired;
}

/** The token that a text is; undefined if it cannot be a token. */
export function tokenIn(text: string | undefined): number | undefined {
  const token = text !== undefined && /^\d{1,16}$/.test(text) ? Number(text) : 0;
  return Number.isSafeInteger(token) && token > 0 ? token : undefined;
}

/**
 * The acquisition that holds the lock: the owner is its nonce, or the holder's record names both. (If the record names another
 * owner, it is of an earlier holder, whose lock another kind of client deleted or overwrote.) The last token was minted for the
 * holder, and is the time of the grant in µs. Further fields of later releases follow the generation without a space.
 */
export function decodeHolder(...[owner, fence, record]: HolderReply): LockHolder | undefined {
  if (owner === null) return undefined;
  const [, nonce = '', named] = /^(\S+) \d+\S* (.*)$/s.exec(record ?? '') ?? [];
  const process = (processOf(owner) ?? (named === owner ? processOf(nonce) : undefined))?.id;
  if (process === undefined) return { owner };
  const fencingToken = fence === null ? undefined : tokenIn(fence);
  if (fencingToken === undefined) return { owner, process };
  return { owner, process, since: new Date(fencingToken / 1_000), fencingToken };
}
