/**
 * How units are counted: `s` sliding window, `b` token bucket, `p` leaky bucket (calls wait for their turn), `f` fixed window that
 * begins with its first call, `c` window of a calendar.
 */
export type LimitKind = 's' | 'b' | 'p' | 'f' | 'c';

/** One limit with the numbers of one moment, as the scripts and the counters of this process take it. */
export interface LimitRule {
  readonly kind: LimitKind;
  /** Units per window. */
  readonly limit: number;
  /** The length of the window in µs; of a bucket: the time in which `limit` units flow in. */
  readonly spanUs: number;
  /** Of a bucket: µs per unit, and how many units may come at once. Of a calendar window: its begin and end in µs. 0: of others. */
  readonly x: number;
  readonly y: number;
}

/** Calls of one cost that came one after the other. */
export interface LimitRun {
  readonly cost: number;
  readonly calls: number;
  /** How long each may wait for its turn, in µs. */
  readonly waitUs: number;
}

/** What one run was answered. */
export interface LimitRunReply {
  /** The first so many calls fit, and are charged to all rules. */
  readonly granted: number;
  /** µs until the turn of the first of them. */
  readonly dueUs: number;
  /** µs until another call of this cost fits, if no other comes first; -1: never. 0 if all calls were granted. */
  readonly retryUs: number;
  /** The rules that had no room, as bits. */
  readonly violated: number;
  /** Units that fit after the run, for each rule. */
  readonly left: readonly number[];
}

export interface LimitReply {
  /** The server's time of the decision, in µs. */
  readonly nowUs: number;
  /** The call was executed before, and this is its answer again. */
  readonly isRepeat: boolean;
  readonly runs: readonly LimitRunReply[];
  /** µs until all units of a rule fit, for each rule. */
  readonly resetUs: readonly number[];
}

/** The window of a calendar that the caller named is not the current one. */
export interface OtherWindow {
  readonly nowUs: number;
  readonly runs: undefined;
}

/** Redis refused to read a key of this subject, as one of another type. Nothing was charged. */
export interface NotRead {
  readonly error: unknown;
}

/** Limits of one subject, and what is asked of them: all rules, or none. */
export interface LimitRequest {
  /** One key per rule. */
  readonly keys: readonly string[];
  readonly rules: readonly LimitRule[];
}

/** What is asked of the same rules for one subject, or for each of several. */
export interface ConsumeRequest {
  /** For each subject, one key per rule. No key occurs twice. */
  readonly subjects: readonly (readonly string[])[];
  readonly rules: readonly LimitRule[];
  readonly runs: readonly LimitRun[];
  /** Names the request. A request that is sent twice under one nonce is charged once. */
  readonly nonce: string;
}

export interface AdjustRequest extends LimitRequest {
  /** Units to charge, also those that do not fit; less than 0: to give back. */
  readonly units: number;
  /** When the units that are given back were charged, in µs of the server; 0: the oldest units are given back. */
  readonly atUs: number;
  /** When the turn that is given back ends, in µs of the server. */
  readonly endsUs: number;
  readonly nonce: string;
}
