import type { LockHolder } from '../../lock.inspection.js';
import { processOf } from '../owner.js';

/** The lock is held by another. */
export interface Busy {
  state: 'busy';
  /** Milliseconds until the holder's lease ends; -1: it never does; -2: it just did. */
  ttlMs: number;
  /** The last token that was minted before this answer: any later grant has a higher one. */
  fence: number;
  holder: LockHolder | undefined;
  /** The place in the queue, as text (µs keep their digits); '0' if not in it. */
  place: string;
}

/** The caller holds the lock. */
export interface Granted {
  state: 'granted';
  token: number;
  /** The same as Redis wrote it, if it did. */
  text?: string;
}

export type Acquired = Granted | Busy;

/** `'pending'`: the instant is granted to another acquisition, whose run has not begun. */
export type AcquiredTick = Acquired | { state: 'done' } | { state: 'pending' };

/** `owner, fence, record`: what stands in the lock's key, its fence and its holder's record. */
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

/** A token as text; undefined if it cannot be one. */
export function tokenIn(text: string | undefined): number | undefined {
  const token = text !== undefined && /^\d{1,16}$/.test(text) ? Number(text) : 0;
  return Number.isSafeInteger(token) && token > 0 ? token : undefined;
}

/**
 * Which acquisition holds the lock: the owner is its nonce, or the holder's record names both. (A record of another owner was
 * left by an earlier holder, whose lock a client of another kind deleted or overwrote.) The last token was minted for it, and is
 * the time of the grant in µs.
 */
export function decodeHolder(...[owner, fence, record]: HolderReply): LockHolder | undefined {
  if (owner === null) return undefined;
  const [, nonce = '', named] = /^(\S+) \d+ (.*)$/s.exec(record ?? '') ?? [];
  const process = (processOf(owner) ?? (named === owner ? processOf(nonce) : undefined))?.id;
  if (process === undefined) return { owner };
  const fencingToken = fence === null ? undefined : tokenIn(fence);
  if (fencingToken === undefined) return { owner, process };
  return { owner, process, since: new Date(fencingToken / 1_000), fencingToken };
}
