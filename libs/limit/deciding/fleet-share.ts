import type { Clock } from '../../redis/index.js';
import type { LimitRule } from '../store/limit-rule.js';

/** How often the processes of the namespace are counted, while limits are used. */
const COUNT_EVERY_MS = 60_000;

/** The part of each limit that this process enforces by itself while Redis does not answer. */
export class FleetShare {
  readonly #clock: Clock;
  readonly #unknown: number;
  readonly #count: () => Promise<number | undefined>;
  #processes: number | undefined;
  #countedMs = -Infinity;

  /** @param unknown the share while the number of processes is unknown */
  constructor(clock: Clock, unknown: number, count: () => Promise<number | undefined>) {
    this.#clock = clock;
    this.#unknown = unknown;
    this.#count = count;
  }

  /** Redis has just answered: counts the processes, if that was not done lately. */
  redisAnswered(): void {
    const nowMs = this.#clock.monoMs();
    if (nowMs - this.#countedMs < COUNT_EVERY_MS) return;
    this.#countedMs = nowMs;
    void this.#count().then((processes) => {
      this.#processes = processes ?? this.#processes;
    });
  }

  /** The same rules, with this process' share of their limits, at least one unit. */
  of(rules: readonly LimitRule[]): LimitRule[] {
    const share = this.#processes === undefined ? this.#unknown : 1 / this.#processes;
    return rules.map((rule) => {
      const limit = Math.max(1, Math.floor(rule.limit * share));
      const isBucket = rule.kind === 'b' || rule.kind === 'p';
      if (!isBucket) return { ...rule, limit };
      return { ...rule, limit, x: (rule.x * rule.limit) / limit, y: Math.max(1, Math.floor(rule.y * share)) };
    });
  }
}
