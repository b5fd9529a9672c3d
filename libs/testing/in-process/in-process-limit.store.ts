import { LocalLimits } from '../../limit/local/local-limits.js';
import type {
  AdjustRequest,
  ConsumeRequest,
  LimitReply,
  LimitRequest,
  LimitRun,
  OtherWindow,
} from '../../limit/store/limit-rule.js';
import type { LimitStore } from '../../limit/store/limit.store.js';
import type { Clock } from '../../redis/index.js';

/** Rate limits of one process, with the rules of those in Redis. */
export class InProcessLimitStore implements Pick<LimitStore, keyof LimitStore> {
  readonly #clock: Clock;
  readonly #limits = new LocalLimits();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  nonce(): string {
    return '';
  }

  get keysAtOnce(): number {
    return 1;
  }

  consume({ subjects, rules, runs }: ConsumeRequest): Promise<(LimitReply | OtherWindow)[]> {
    const nowUs = this.#nowUs();
    if (isOther({ rules }, nowUs)) return Promise.resolve(subjects.map(() => ({ nowUs, runs: undefined })));
    return Promise.resolve(subjects.map((keys) => this.#limits.consume({ keys, rules, runs }, nowUs)));
  }

  peek(request: LimitRequest & { readonly runs: readonly LimitRun[] }): Promise<LimitReply | OtherWindow> {
    const nowUs = this.#nowUs();
    return Promise.resolve(isOther(request, nowUs) ? { nowUs, runs: undefined } : this.#limits.peek(request, nowUs));
  }

  adjust(request: AdjustRequest): Promise<boolean> {
    const nowUs = this.#nowUs();
    if (isOther(request, nowUs)) return Promise.resolve(false);
    this.#limits.adjust(request, nowUs);
    return Promise.resolve(true);
  }

  block(keys: readonly string[], ms: number, once: boolean): Promise<void> {
    const nowUs = this.#nowUs();
    this.#limits.block(keys, nowUs + ms * 1_000, once, nowUs);
    return Promise.resolve();
  }

  reset(keys: readonly string[]): Promise<void> {
    this.#limits.reset(keys);
    return Promise.resolve();
  }

  countProcesses(): Promise<number> {
    return Promise.resolve(1);
  }

  #nowUs(): number {
    return Math.floor(this.#clock.wallMs() * 1_000);
  }
}

/** Whether a calendar window of the request is not the current one. */
function isOther({ rules }: Pick<LimitRequest, 'rules'>, nowUs: number): boolean {
  return rules.some(({ kind, x, y }) => kind === 'c' && (nowUs < x || nowUs >= y));
}
