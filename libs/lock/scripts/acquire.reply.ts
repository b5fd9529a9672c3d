/** Who holds a lock, as far as Redis knows. */
export interface LockHolder {
  /** The value of the lock's key. */
  owner: string;
  /** `host:pid:nonce` of the process, unless a client of another kind holds the lock. */
  process?: string;
  /** Since when, on the Redis server's clock; unknown of clients of another kind. */
  since?: Date;
  /** Its token; clients of another kind have none. */
  fencingToken?: number;
}

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

export type Acquired = { state: 'granted'; token: number } | Busy;

export type AcquiredTick = Acquired | { state: 'done' };

type Reply = [1, string] | [2] | [0, number, string, string | null, string | null, string];

export function decodeAcquiredTick(reply: unknown): AcquiredTick {
  const answer = reply as Reply;
  if (answer[0] === 2) return { state: 'done' };
  if (answer[0] === 1) return { state: 'granted', token: Number(answer[1]) };
  const [, ttlMs, fence, owner, record, place] = answer;
  return { state: 'busy', ttlMs, fence: Number(fence), holder: decodeHolder(owner, record), place };
}

export function decodeAcquired(reply: unknown): Acquired {
  return decodeAcquiredTick(reply) as Acquired;
}

/** The holder's record is `nonce token since who`, since in µs; a client of another kind has none. */
export function decodeHolder(owner: string | null, record: string | null): LockHolder | undefined {
  if (owner === null) return undefined;
  const [, token, since, process] = /^\S+ (\d+) (\d+) (.*)$/s.exec(record ?? '') ?? [];
  return since === undefined || process === undefined
    ? { owner }
    : { owner, process, since: new Date(Number(since) / 1_000), fencingToken: Number(token) };
}
