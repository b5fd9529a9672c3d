import { RedisUnavailableError, isUnavailable, type Clock } from '../../redis/index.js';
import type { LocalLimits } from '../local/local-limits.js';
import type { LimitEvents } from '../observe/limit.events.js';
import type { LimitKeys } from '../store/limit.keys.js';
import type { ConsumeRequest, LimitReply } from '../store/limit-rule.js';
import type { LimitStore } from '../store/limit.store.js';
import { groupsOf, runsOf, type Batch, type Group, type LimitCall } from './batches.js';
import { decidedOf, decisionOf, policyDecision } from './decisions.js';
import type { FleetShare } from './fleet-share.js';
import type { KnownLimit } from './known-limit.js';
import type { RefusalMemory } from './refusal-memory.js';

/** The longest time until a decision, in milliseconds. */
export const DECIDE_WITHIN_MS = 250;

/** How often a caller is told of another calendar window before something is wrong. */
const WINDOW_TRIES = 3;

export interface LimitCallsOptions {
  readonly store: LimitStore;
  readonly keys: LimitKeys;
  readonly clock: Clock;
  readonly events: LimitEvents;
  readonly refusals: RefusalMemory;
  readonly share: FleetShare;
  readonly local: LocalLimits;
}

type Asked = Pick<ConsumeRequest, 'rules' | 'runs'>;

/**
 * Asks for decisions: the calls on one limit and key of one turn of the event loop are one question, and the questions about several
 * keys of one limit are one script, unless the server knows slots. Each call is answered within 250 ms, by Redis or without it.
 */
export class LimitCalls {
  readonly #options: LimitCallsOptions;
  #batches = new Map<string, Batch>();
  /** How far the server's wall clock is ahead, once a calendar window has shown it. */
  #serverAheadMs = 0;
  readonly #flush = (): void => {
    const batches = this.#batches;
    this.#batches = new Map();
    for (const group of groupsOf(batches.values(), this.#options.store.keysAtOnce)) this.#send(group, 1);
  };

  constructor(options: LimitCallsOptions) {
    this.#options = options;
  }

  /** The wall clock of the server, as far as it is known. */
  get serverMs(): number {
    return this.#options.clock.wallMs() + this.#serverAheadMs;
  }

  /**
   * Puts a call into the batch of this turn.
   *
   * @param own what this process calls the limit of this key
   * @throws SluiceError `SLUICE_BAD_NAME`
   */
  add(known: KnownLimit, key: string, limits: readonly number[], call: LimitCall, own = known.idOf(key)): void {
    // Calls with numbers of their own share a batch only with calls of the same numbers.
    const id = limits === known.limits ? own : `${limits.join()} ${own}`;
    const batch = this.#batches.get(id);
    if (batch !== undefined) {
      batch.calls.push(call);
      return;
    }
    const keys = this.#options.keys.of(key, known.keyNames);
    if (this.#batches.size === 0) process.nextTick(this.#flush);
    this.#batches.set(id, { known, key, keys, limits, calls: [call] });
  }

  #send(group: Group, attempt: number): void {
    const { store, share } = this.#options;
    const request = this.#requestOf(group);
    store.consume(request, DECIDE_WITHIN_MS).then(
      (replies) => {
        share.redisAnswered();
        for (const [i, reply] of replies.entries()) {
          const batch = group[i];
          if (batch === undefined) continue;
          if ('error' in reply) this.#failed(batch, request, reply.error);
          else if (reply.runs !== undefined) this.#answer(batch, request, reply, 'redis');
          else this.#otherWindow(batch, request, reply.nowUs, attempt);
        }
      },
      (error: unknown) => {
        for (const batch of group) this.#failed(batch, request, error);
      },
    );
  }

  #requestOf(group: Group): ConsumeRequest {
    const { store } = this.#options;
    const [{ known, limits, calls }] = group;
    return {
      subjects: group.map(({ keys }) => keys),
      rules: known.rules(limits, this.serverMs),
      runs: runsOf(calls),
      nonce: store.nonce(),
    };
  }

  #otherWindow(batch: Batch, request: ConsumeRequest, nowUs: number, attempt: number): void {
    this.learnServerTime(nowUs);
    if (attempt < WINDOW_TRIES) this.#send([batch], attempt + 1);
    else this.#failed(batch, request, new RedisUnavailableError("the server's clock steps between calls", 'not-sent'));
  }

  /** The server's clock is not where this process thought. */
  learnServerTime(nowUs: number): void {
    this.#serverAheadMs = nowUs / 1_000 - this.#options.clock.wallMs();
  }

  #failed(batch: Batch, request: Asked, error: unknown): void {
    const { known, key, keys, calls } = batch;
    if (!isUnavailable(error)) {
      for (const call of calls) call.failed(error);
      return;
    }
    const { share, local, clock, events } = this.#options;
    if (known.onUnavailable === 'local') {
      const shared = { keys, rules: share.of(request.rules), runs: request.runs };
      this.#answer(batch, shared, local.consume(shared, clock.monoMs() * 1_000), 'local', error);
      return;
    }
    const allows = known.onUnavailable === 'allow';
    const decision = policyDecision(known, request.rules, allows);
    for (const { cost, decided } of calls) {
      const about = decidedOf(known, key, cost, decision);
      events.undecided(about, error);
      if (allows) events.allowed(about);
      else events.refused(about, false);
      decided(decision);
    }
  }

  #answer(
    batch: Batch,
    { rules, runs }: Asked,
    reply: LimitReply,
    decidedBy: 'redis' | 'local',
    error?: unknown,
  ): void {
    const { known, key, keys, calls } = batch;
    const { events, refusals } = this.#options;
    const atUs = reply.isRepeat ? 0 : reply.nowUs;
    let next = 0;
    for (const [i, { cost, calls: count }] of runs.entries()) {
      const run = reply.runs[i];
      if (run === undefined) continue;
      const of = { known, rules, reply, run, decidedBy };
      const paced = rules[0]?.kind === 'p' ? rules[0] : undefined;
      const each = (paced?.x ?? 0) * cost;
      // A call of the burst starts before the turns that it takes.
      const early = (paced?.x ?? 0) * Math.max(0, (paced?.y ?? 0) - cost);
      const refusal = run.granted < count ? decisionOf(of, false, 0) : undefined;
      for (let n = 0; n < count; n++) {
        const call = calls[next++];
        const isGranted = n < run.granted;
        const decision = isGranted ? decisionOf(of, true, (run.granted - 1 - n) * cost) : refusal;
        if (call === undefined || decision === undefined) continue;
        const about = decidedOf(known, key, cost, decision);
        if (decidedBy === 'local') events.undecided(about, error);
        if (!isGranted) {
          if (decidedBy === 'redis' && call.waitUs === 0) refusals.add(known.idOf(key), cost, call.limit, decision);
          events.refused(about, false);
          call.decided(decision);
          continue;
        }
        events.allowed(about);
        const dueUs = Math.max(0, run.dueUs + n * each);
        call.decided(decision, {
          keys,
          rules,
          by: decidedBy,
          atUs,
          dueUs,
          endsUs: atUs + run.dueUs + early + (n + 1) * each,
        });
      }
    }
  }
}
