import { RING_MAX, SLOTS } from '../../redis/index.js';
import type { LimitRule } from '../store/limit-rule.js';

/** Units of one instant: when they were charged, and when they leave the window. */
interface Units {
  readonly atUs: number;
  readonly leavesUs: number;
  units: number;
}

/** The state of one limit on one subject in this process, by the rules of the Lua fragment `LIMIT`. Its clock is never set back. */
export class Counter {
  #born = 0;
  #window: Units[] = [];
  #lag = 0;
  #last = 0;
  /** When the bucket was last more than half full. */
  #since = 0;
  /** How much lag there was at least ever since, without what was given back. */
  #least = 0;
  #ends = 0;
  #used = 0;
  #blockedUntil = 0;

  /** Lets the time pass until `nowUs`. */
  pass(rule: LimitRule, nowUs: number): void {
    if (rule.kind === 's') {
      this.#window = this.#window.filter(({ leavesUs }) => leavesUs > nowUs);
      this.#used = this.#window.reduce((sum, { units }) => sum + units, 0);
    } else if (rule.kind === 'b' || rule.kind === 'p') {
      this.#lag = Math.max(0, this.#lag - (nowUs - this.#last));
      this.#last = nowUs;
      const half = (rule.y * rule.x) / 2;
      if (this.#lag < half) [this.#since, this.#least] = [nowUs, half];
    } else {
      const ends = rule.kind === 'c' ? rule.y : this.#ends;
      if (ends !== this.#ends || ends <= nowUs) this.#used = 0;
      this.#ends = this.#used > 0 || rule.kind === 'c' ? ends : nowUs + rule.spanUs;
    }
    if (this.#isEmpty(rule)) this.#born = nowUs;
  }

  room(rule: LimitRule, calls: number, cost: number, waitUs: number, nowUs: number): number {
    if (this.isBlocked(nowUs)) return 0;
    let room = rule.limit - this.#used;
    if (rule.kind === 'b') room = rule.y - this.#lag / rule.x;
    else if (rule.kind === 'p') room = (waitUs - this.#lag) / rule.x + Math.max(rule.y, cost);
    return Math.max(0, Math.min(calls, Math.floor(room / cost)));
  }

  charge(rule: LimitRule, units: number, nowUs: number): void {
    if (rule.kind === 'b' || rule.kind === 'p') {
      this.#lag += units * rule.x;
      return;
    }
    this.#used += units;
    if (rule.kind !== 's') return;
    const leavesUs = leaves(rule, nowUs);
    const last = this.#window.at(-1);
    if (last?.leavesUs === leavesUs && last.atUs === nowUs) last.units += units;
    else this.#window.push({ atUs: nowUs, leavesUs, units });
  }

  /** @param atUs the instant of the charge; 0: any, the oldest first */
  refund(rule: LimitRule, units: number, atUs: number, endsUs: number): void {
    if (rule.kind === 'b' || rule.kind === 'p') {
      this.#lag = Math.max(0, this.#lag - this.#refundable(rule, units, atUs, endsUs));
      this.#least = Math.max(0, this.#least - units * rule.x);
      return;
    }
    if (atUs > 0 && atUs < this.#born) return;
    let left = rule.kind === 's' ? units : 0;
    if (rule.kind !== 's') this.#used = Math.max(0, this.#used - units);
    for (const each of this.#window) {
      if (atUs > 0 && each.atUs !== atUs) continue;
      const less = Math.min(left, each.units);
      each.units -= less;
      left -= less;
      this.#used -= less;
    }
  }

  isBlocked(nowUs: number): boolean {
    return this.#blockedUntil > nowUs;
  }

  block(untilUs: number): void {
    this.#blockedUntil = untilUs;
  }

  /** µs until the turn of a call that is charged now. */
  due(rule: LimitRule, cost: number): number {
    return rule.kind === 'p' ? this.#lag + (cost - Math.max(rule.y, cost)) * rule.x : 0;
  }

  retry(rule: LimitRule, cost: number, waitUs: number, nowUs: number): number {
    let after = 0;
    if (rule.kind === 'p') after = this.due(rule, cost) - waitUs;
    else if (cost > (rule.kind === 'b' ? rule.y : rule.limit)) return -1;
    else if (rule.kind === 'b') after = this.#lag + (cost - rule.y) * rule.x;
    else if (this.#used + cost > rule.limit) after = this.#roomAt(rule, cost) - nowUs;
    return Math.max(0, after, this.#blockedUntil - nowUs);
  }

  left(rule: LimitRule, nowUs: number): number {
    if (this.isBlocked(nowUs)) return 0;
    const isBucket = rule.kind === 'b' || rule.kind === 'p';
    return Math.max(0, Math.floor(isBucket ? rule.y - this.#lag / rule.x : rule.limit - this.#used));
  }

  reset(rule: LimitRule, nowUs: number): number {
    let after = this.#lag;
    if (rule.kind === 's') after = (this.#window.findLast(({ units }) => units > 0)?.leavesUs ?? nowUs) - nowUs;
    else if (rule.kind === 'f' || rule.kind === 'c') after = this.#used > 0 ? this.#ends - nowUs : 0;
    return Math.max(after, this.#blockedUntil - nowUs, 0);
  }

  /** Of a bucket, in µs: see the fragment `BUCKET`. */
  #refundable(rule: LimitRule, units: number, atUs: number, endsUs: number): number {
    const back = units * rule.x;
    if (rule.kind === 'p') return Math.abs(this.#last + this.#lag - endsUs) < 1 ? back : 0;
    if (atUs === 0) return back;
    const least = atUs >= this.#since ? this.#least : 0;
    return Math.min(back, Math.max(least, back - (this.#last - atUs)));
  }

  #roomAt(rule: LimitRule, cost: number): number {
    if (rule.kind !== 's') return this.#ends;
    let over = this.#used + cost - rule.limit;
    return this.#window.find(({ units }) => (over -= units) <= 0)?.leavesUs ?? 0;
  }

  #isEmpty({ kind }: LimitRule): boolean {
    return kind === 'b' || kind === 'p' ? this.#lag === 0 : this.#used === 0;
  }
}

function leaves({ limit, spanUs }: LimitRule, nowUs: number): number {
  if (limit <= RING_MAX) return Math.ceil(nowUs / 1_000) * 1_000 + spanUs;
  const width = Math.ceil(spanUs / SLOTS);
  return (Math.floor(nowUs / width) + SLOTS + 1) * width;
}
