import { instantOf, isUnavailable, remainingMs, type Clock } from '../../redis/index.js';
import type { LeaseGrant } from '../held/lease.js';
import { Lock } from '../held/lock.js';
import { onAbort } from './abort-listeners.js';
import { LockLostError } from '../lock.errors.js';
import type { LockRequest } from '../store/lock-request.js';
import type { AcquiredTick } from '../store/scripts/acquire.reply.js';
import { withLockName } from './outage.js';

/** The pause before a request is repeated, after Redis did not answer or answered `pending`, in milliseconds. */
const RETRY_MS = 100;

/** A request that never joins the queue of its lock. */
export interface Attempt<A extends AcquiredTick> {
  send: () => Promise<A>;
  /** For how long the request is repeated while Redis does not answer, in milliseconds. */
  patienceMs: number;
  signal?: AbortSignal | undefined;
}

export type NotGranted<A> = Exclude<A, { state: 'granted' }>;

/** What the attempts of a process need from its `LockManager`. */
export interface AttemptListener {
  /** The lock is granted. The caller of the attempt gets the returned lock. */
  granted(request: LockRequest, grant: LeaseGrant, fromMs: number): Lock;
  /** The lock is held, or other calls wait for it. */
  busy(request: LockRequest): void;
  /** Redis may have granted the lock, but the caller of the attempt does not get it. */
  mayBeGranted(request: LockRequest): void;
}

/** Takes locks for callers that do not wait in a queue. */
export class Attempts {
  readonly #clock: Clock;
  readonly #listener: AttemptListener;
  #running = 0;
  #closed = false;
  #idle: (() => void) | undefined;

  constructor(clock: Clock, listener: AttemptListener) {
    this.#clock = clock;
    this.#listener = listener;
  }

  /** Resolves to the lock, or to the answer that says why not. Rejects with the signal's reason as soon as the signal aborts. */
  run<A extends AcquiredTick>(request: LockRequest, attempt: Attempt<A>): Promise<Lock | NotGranted<A>> {
    const outcome = this.#run(request, attempt);
    return attempt.signal === undefined ? outcome : unlessAborted(outcome, attempt.signal);
  }

  async #run<A extends AcquiredTick>(request: LockRequest, attempt: Attempt<A>): Promise<Lock | NotGranted<A>> {
    this.#running++;
    try {
      return await this.#retry(request, attempt);
    } finally {
      if (--this.#running === 0) this.#idle?.();
    }
  }

  /** From now on, no request is repeated. Resolves when the last attempt has ended. */
  async close(): Promise<void> {
    this.#closed = true;
    if (this.#running > 0) await new Promise<void>((resolve) => (this.#idle = resolve));
  }

  /** Sends the request until there is a final answer, `patienceMs` is over, or the signal aborts. */
  async #retry<A extends AcquiredTick>(request: LockRequest, attempt: Attempt<A>): Promise<Lock | NotGranted<A>> {
    const fromMs = this.#clock.monoMs();
    const untilMs = fromMs + attempt.patienceMs;
    let sent = false;
    for (;;) {
      try {
        attempt.signal?.throwIfAborted();
        const answer = await this.#try(request, attempt, fromMs);
        if (!('state' in answer) || answer.state !== 'pending' || this.#closed) return answer;
      } catch (error) {
        sent ||= !(isUnavailable(error) && error.outcome === 'not-sent');
        if (!isUnavailable(error) || this.#closed || this.#clock.monoMs() + RETRY_MS > untilMs) {
          // Redis may have granted the lock to a try that got no answer. Or the last try got a grant that cannot be used.
          if (sent) this.#listener.mayBeGranted(request);
          throw withLockName(request.name, 'acquire', error);
        }
      }
      // The next try has the same nonce. So a grant whose answer was lost is found, and its lease is full from that sending on.
      await new Promise<void>((resolve) => this.#clock.timer(RETRY_MS, resolve));
    }
  }

  async #try<A extends AcquiredTick>(
    request: LockRequest,
    attempt: Attempt<A>,
    fromMs: number,
  ): Promise<Lock | NotGranted<A>> {
    const { name, owner, ttlMs } = request;
    const from = instantOf(this.#clock);
    const answer = await attempt.send();
    if (answer.state === 'busy') this.#listener.busy(request);
    if (answer.state !== 'granted') return answer as NotGranted<A>;
    attempt.signal?.throwIfAborted();
    const at = instantOf(this.#clock);
    if (remainingMs(at, from, ttlMs) <= 0) {
      throw new LockLostError(name, 'expired', { owner, since: new Date(from.wallMs) });
    }
    return this.#listener.granted(request, { token: answer.token, from, validMs: ttlMs, at, claimed: true }, fromMs);
  }
}

/**
 * Settles like `outcome`, but rejects as soon as the signal aborts: an answer may take as long as Redis hangs. A lock that is
 * granted after the abort is released. If the signal aborts after `#try` has looked at it, the release happens in this function.
 */
function unlessAborted<A>(outcome: Promise<Lock | A>, signal: AbortSignal): Promise<Lock | A> {
  return new Promise((resolve, reject) => {
    let aborted = false;
    const stop = onAbort(signal, () => {
      aborted = true;
      reject(signal.reason as Error);
    });
    outcome.finally(stop).then((answer) => {
      resolve(answer);
      // The error of a failed release is ignored, because the release is repeated in the background.
      if (aborted && answer instanceof Lock) void answer.release().catch(() => {});
    }, reject);
  });
}
