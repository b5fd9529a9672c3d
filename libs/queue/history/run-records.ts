import type { Clock, Keyspace } from '../../redis/index.js';
import type { Handler } from '../handlers/handler.registry.js';
import { returnedOutcome } from '../results/outcome.js';
import { historyKeys, type HistoryKeys } from '../store/queue.keys.js';
import { RECORDED_MAX_BYTES } from '../store/scripts/history.fragment.js';
import type { Delivery } from '../task/delivery.js';
import { describeError } from '../task/describe-error.js';

export interface RunRecordsOptions {
  handler: Pick<Handler, 'place' | 'level' | 'history'>;
  keyspace: Keyspace;
  /** The name under which this process reads. */
  consumer: string;
  clock: Clock;
}

/** What the scripts that settle tasks are told to record: see history.fragment.ts. '': nothing, as in queues without a history. */
export class RunRecords {
  readonly keys: HistoryKeys;
  /** How many records of each kind there are at most; 0: none. */
  readonly keeps: { readonly completed: number; readonly failed: number };
  readonly level: string;
  readonly #consumer: string;
  readonly #clock: Clock;
  readonly #isOn: boolean;

  constructor({ handler, keyspace, consumer, clock }: RunRecordsOptions) {
    this.keys = historyKeys(keyspace, handler.place);
    this.keeps = handler.history ?? { completed: 0, failed: 0 };
    this.level = handler.level?.priority ?? '-';
    this.#consumer = consumer;
    this.#clock = clock;
    this.#isOn = handler.history !== undefined;
  }

  /** A run begins. */
  begun(delivery: Delivery): void {
    if (this.#isOn) delivery.begunMs = this.#clock.monoMs();
  }

  /** The handler has returned `value`, which may be changed from now on. */
  returned(delivery: Delivery, value: unknown): void {
    if (this.keeps.completed === 0) return;
    const { kind, text } = returnedOutcome(value, RECORDED_MAX_BYTES);
    this.#ended(delivery, kind === 'returned' ? text : '');
  }

  /** The handler has thrown, and the task is not needed any more. */
  dropped(delivery: Delivery, thrown: unknown): void {
    if (this.keeps.completed > 0) this.#ended(delivery, describeError(thrown).error.toString());
  }

  /** Of a task that is about to be acknowledged. */
  completed(delivery: Delivery): string {
    const how = delivery.endedAs === 'dropped' ? 'dropped' : 'completed';
    return this.#text(this.keeps.completed, how, delivery.retryCount + 1, delivery);
  }

  /** Of a task that is about to be a dead letter, after so many failed attempts. The script adds why. */
  failed(delivery: Delivery, attempts: number): string {
    return this.#text(this.keeps.failed, 'failed', attempts, delivery);
  }

  #ended(delivery: Delivery, said: string): void {
    delivery.said = said;
    if (delivery.begunMs !== undefined) delivery.ranMs = this.#clock.monoMs() - delivery.begunMs;
  }

  /** The times are those at which it is sent, again at each try. */
  #text(keep: number, how: string, attempts: number, { deliveries, begunMs, ranMs, said = '' }: Delivery): string {
    if (keep === 0) return '';
    const agoMs = begunMs === undefined ? -1 : Math.round(this.#clock.monoMs() - begunMs);
    const took = begunMs === undefined ? -1 : Math.round(ranMs ?? agoMs);
    return `${keep} ${this.level} ${attempts} ${deliveries} ${agoMs} ${took} ${how} ${this.#consumer}\n${said}`;
  }
}
