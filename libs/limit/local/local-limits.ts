import { GenerationalMap } from '../../redis/index.js';
import type { AdjustRequest, LimitReply, LimitRequest, LimitRun, LimitRunReply } from '../store/limit-rule.js';
import { Counter } from './counter.js';

/** How many keys are counted at most. At least half of this number is counted. */
const COUNTED = 10_000;

/**
 * Limits that this process counts by itself: its share during an outage, and all limits of `SluiceTestingModule`. Decides as the
 * scripts do. Times are µs of a clock of the caller that never goes back.
 */
export class LocalLimits {
  readonly #counters = new GenerationalMap<string, Counter>({ size: COUNTED / 2 });

  consume(request: LimitRequest & { readonly runs: readonly LimitRun[] }, nowUs: number): LimitReply {
    const counters = this.#open(request, nowUs);
    const runs = request.runs.map((run) => this.#run(request, counters, run, nowUs, true));
    return this.#reply(request, counters, runs, nowUs);
  }

  peek(request: LimitRequest & { readonly runs: readonly LimitRun[] }, nowUs: number): LimitReply {
    const counters = this.#open(request, nowUs);
    const runs = request.runs.map((run) => this.#run(request, counters, run, nowUs, false));
    return this.#reply(request, counters, runs, nowUs);
  }

  adjust(request: Omit<AdjustRequest, 'nonce'>, nowUs: number): void {
    const { units, atUs, endsUs, rules } = request;
    for (const [i, counter] of this.#open(request, nowUs).entries()) {
      const rule = rules[i];
      if (rule === undefined) continue;
      if (units > 0) counter.charge(rule, units, nowUs);
      else counter.refund(rule, -units, atUs, endsUs);
    }
  }

  /** @param once true: a block that there is stays as it is */
  block(keys: readonly string[], untilUs: number, once: boolean, nowUs: number): void {
    for (const key of keys) {
      const counter = this.#counter(key);
      if (!once || !counter.isBlocked(nowUs)) counter.block(untilUs);
    }
  }

  reset(keys: readonly string[]): void {
    for (const key of keys) this.#counters.delete(key);
  }

  #open({ keys, rules }: LimitRequest, nowUs: number): Counter[] {
    return rules.map((rule, i) => {
      const counter = this.#counter(keys[i] ?? '');
      counter.pass(rule, nowUs);
      return counter;
    });
  }

  #counter(key: string): Counter {
    let counter = this.#counters.get(key);
    if (counter === undefined) this.#counters.set(key, (counter = new Counter()));
    return counter;
  }

  #run(
    { rules }: LimitRequest,
    counters: readonly Counter[],
    run: LimitRun,
    nowUs: number,
    charges: boolean,
  ): LimitRunReply {
    const { cost, calls, waitUs } = run;
    const each = counters.flatMap((counter, i) => {
      const rule = rules[i];
      return rule === undefined ? [] : [{ counter, rule }];
    });
    const granted = Math.min(calls, ...each.map(({ counter, rule }) => counter.room(rule, calls, cost, waitUs, nowUs)));
    const dueUs = Math.ceil(each[0]?.counter.due(each[0].rule, cost) ?? 0);
    if (charges && granted > 0) for (const { counter, rule } of each) counter.charge(rule, granted * cost, nowUs);
    let [retryUs, violated] = [0, 0];
    if (granted < calls) {
      for (const [i, { counter, rule }] of each.entries()) {
        if (counter.room(rule, 1, cost, waitUs, nowUs) > 0) continue;
        const wait = counter.retry(rule, cost, waitUs, nowUs);
        violated += 2 ** i;
        retryUs = wait < 0 || retryUs < 0 ? -1 : Math.max(retryUs, Math.ceil(wait));
      }
    }
    return { granted, dueUs, retryUs, violated, left: each.map(({ counter, rule }) => counter.left(rule, nowUs)) };
  }

  #reply({ rules }: LimitRequest, counters: readonly Counter[], runs: LimitRunReply[], nowUs: number): LimitReply {
    const resetUs = rules.map((rule, i) => Math.ceil(counters[i]?.reset(rule, nowUs) ?? 0));
    return { nowUs, isRepeat: false, runs, resetUs };
  }
}
