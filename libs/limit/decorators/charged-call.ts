import type { KnownLimit } from '../deciding/known-limit.js';
import { RateLimitedError, isRateLimited } from '../limit.errors.js';
import type { RateLimitDecision } from '../rate-limit-decision.js';
import type { RateLimitService } from '../rate-limit.service.js';
import type { CountedOutcome } from './rate-limit.options.js';

/** One limit of a call: whose it is, and what the call takes. */
export interface LimitOfCall {
  readonly known: KnownLimit;
  readonly key: string;
  readonly cost: number;
  readonly count: CountedOutcome | undefined;
  readonly maxWaitMs: number | undefined;
}

/** Limits that one script asks: of one key and cost, and counted alike. */
interface Group extends Omit<LimitOfCall, 'known'> {
  readonly members: [KnownLimit, ...KnownLimit[]];
}

/** What a call was charged: one decision, under the names of its limits. */
export interface NamedDecision {
  readonly names: readonly string[];
  readonly decision: RateLimitDecision;
}

interface Taken {
  /** Whether it is a turn of a paced limit. */
  readonly isTurn: boolean;
  readonly count: CountedOutcome | undefined;
  readonly cancel: () => Promise<void>;
}

/** A refused call, with the names of the limits of the decision. */
export class RefusedCall {
  constructor(
    readonly error: RateLimitedError,
    readonly decided: NamedDecision,
  ) {}
}

/** A call that all of its limits admitted. */
export class ChargedCall {
  readonly decided: NamedDecision[] = [];
  readonly #taken: Taken[] = [];
  #isSettled = false;

  /** True if the outcome of the call matters. */
  get isCounted(): boolean {
    return this.#taken.some(({ count }) => count !== undefined);
  }

  /** Gives back what the outcome does not count for. Once. */
  settle(isSuccess: boolean): void {
    if (this.#isSettled) return;
    this.#isSettled = true;
    const counted = isSuccess ? 'successes' : 'failures';
    for (const { count, cancel } of this.#taken) if (count !== undefined && count !== counted) giveBack(cancel);
  }

  add(taken: Taken, decided?: NamedDecision): void {
    this.#taken.push(taken);
    if (decided !== undefined) this.decided.push(decided);
  }

  /** Gives everything back: a later limit refused the call. */
  cancel(): void {
    this.#isSettled = true;
    for (const { cancel } of this.#taken) giveBack(cancel);
  }

  /** Gives turns back: the caller left. Other units stay charged, or whoever leaves in time would have no limit. */
  leave(): void {
    this.#isSettled = true;
    for (const { isTurn, cancel } of this.#taken) if (isTurn) giveBack(cancel);
  }
}

/** Units are given back before the next command of this process reaches Redis, so that nothing has to wait for it. */
function giveBack(cancel: () => Promise<void>): void {
  cancel().catch(() => {
    // An outage: the connection reports it, and the units lapse.
  });
}

/**
 * Charges a call to its limits, in the order of the list: limits of one key in one script, others one after the other. Calls wait
 * for their turns last. If a limit refuses, what the earlier ones took is given back.
 *
 * @param signal ends the wait for a turn, because the caller left. The promise rejects with its reason
 */
export async function chargeCall(
  service: RateLimitService,
  limits: readonly LimitOfCall[],
  signal?: AbortSignal,
): Promise<ChargedCall | RefusedCall> {
  const call = new ChargedCall();
  try {
    for (const group of groupsOf(limits)) {
      const refused = await charge(service, call, group, signal);
      if (refused === undefined) continue;
      call.cancel();
      return refused;
    }
    return call;
  } catch (error) {
    if (signal?.aborted === true) call.leave();
    else call.cancel();
    throw error;
  }
}

async function charge(
  service: RateLimitService,
  call: ChargedCall,
  group: Group,
  signal: AbortSignal | undefined,
): Promise<RefusedCall | undefined> {
  const { members, key, cost, count, maxWaitMs } = group;
  const names = members.flatMap(({ keyNames }) => keyNames);
  if (members[0].isPaced) {
    try {
      const options = { cost, ...(maxWaitMs !== undefined && { maxWaitMs }), ...(signal && { signal }) };
      const turn = await service.takeTurn(members[0], key, options);
      call.add({ isTurn: true, count: undefined, cancel: () => turn?.cancel() ?? Promise.resolve() });
      return undefined;
    } catch (error) {
      if (isRateLimited(error)) return new RefusedCall(error, { names, decision: error.decision });
      throw error;
    }
  }
  const { decision, cancel } = await service.reserveAll(members, key, cost);
  const decided = { names, decision };
  if (!decision.allowed) return new RefusedCall(errorOf(members, decision), decided);
  call.add({ isTurn: false, count, cancel }, decided);
  return undefined;
}

/** The error names the definitions that refused. */
function errorOf(members: readonly KnownLimit[], decision: RateLimitDecision): RateLimitedError {
  if (members.length === 1) return new RateLimitedError(members[0]?.name ?? '', decision);
  const refusing = members.filter(({ keyNames }) => keyNames.some((name) => decision.violated.includes(name)));
  return new RateLimitedError(refusing.map(({ name }) => name).join(', '), decision);
}

function groupsOf(limits: readonly LimitOfCall[]): Group[] {
  const [first] = limits;
  if (first !== undefined && limits.length === 1) return [groupOf(first)];
  const groups: Group[] = [];
  for (const limit of limits) {
    const group = groups.find(
      ({ members, key, cost, count }) =>
        key === limit.key && cost === limit.cost && count === limit.count && members[0].canJoin(limit.known),
    );
    if (group === undefined) groups.push(groupOf(limit));
    else group.members.push(limit.known);
  }
  const paced = groups.filter(({ members }) => members[0].isPaced);
  return paced.length === 0 ? groups : [...groups.filter((group) => !paced.includes(group)), ...paced];
}

function groupOf({ known, key, cost, count, maxWaitMs }: LimitOfCall): Group {
  return { members: [known], key, cost, count, maxWaitMs };
}
