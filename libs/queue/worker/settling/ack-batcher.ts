import type { Link } from '../../../redis/index.js';
import type { RunRecords } from '../../history/run-records.js';
import type { Delivery } from '../../task/delivery.js';
import type { ConcurrencyWindow } from '../concurrency-window.js';
import type { OrderedAcks } from '../ordered/ordered-acks.js';
import type { RetryUntilConfirmed } from './retry-until-confirmed.js';
import type { QueueKeys } from '../../store/queue.keys.js';
import { ackMembersScript } from '../../store/scripts/ack-members.script.js';
import { ackRecordedScript } from '../../store/scripts/ack-recorded.script.js';
import { ackScript } from '../../store/scripts/ack.script.js';

export interface AckBatcherOptions {
  link: Link;
  keys: Pick<QueueKeys, 'stream' | 'index' | 'side'>;
  group: string;
  retryUntilConfirmed: RetryUntilConfirmed;
  /** `offerCredit` is called before an acknowledgement is sent, once tasks have finished in this turn of the event loop. */
  window: Pick<ConcurrencyWindow, 'offerCredit'>;
  /** Acknowledges the tasks of an ordered queue; undefined for other queues. */
  ordered?: Pick<OrderedAcks, 'send'> | undefined;
  records: Pick<RunRecords, 'keys' | 'keeps' | 'completed'>;
  /** Redis has confirmed that these tasks are settled. */
  onAcked: (deliveries: readonly Delivery[]) => void;
}

/** Ids in one script: far below the limit of Lua's `unpack` (8,000), and enough to make the cost of the round trip small. */
const BATCH = 512;
/** Of an ordered queue, an acknowledgement takes the server longer. So the tasks that one makes room for run during the next one. */
const ORDERED_BATCH = 256;
/** The same for tasks that are recorded: with their payloads, so many are about a millisecond of the server's time. */
const RECORDED = 128;

/**
 * Acknowledges by group commit: one flush is in flight, and the next flush takes the tasks that finish meanwhile.
 *
 * There is no timer. An idle worker's acknowledgement is sent at the end of the turn in which the task finished. A busy
 * worker's batches grow by themselves. Flushes of several queues in one turn are sent in one write.
 */
export class AckBatcher {
  readonly #options: AckBatcherOptions;
  #waiting: Delivery[] = [];
  #ticking = false;
  #flushing = false;

  constructor(options: AckBatcherOptions) {
    this.#options = options;
  }

  add(delivery: Delivery): void {
    this.#waiting.push(delivery);
    if (this.#ticking) return;
    this.#ticking = true;
    // Ticks run after all promise jobs, so all tasks that finish in this turn are in the same batch.
    process.nextTick(() => {
      this.#ticking = false;
      // In an ordered queue, the acknowledgement itself brings further tasks.
      if (this.#options.ordered === undefined) this.#options.window.offerCredit();
      if (this.#flushing) return;
      this.#flushing = true;
      // The flush waits for the promise jobs that `offerCredit` began. So the next read is sent before the acknowledgement, and
      // its reply does not wait for it.
      queueMicrotask(() => {
        process.nextTick(() => void this.#flush());
      });
    });
  }

  async #flush(): Promise<void> {
    const { retryUntilConfirmed, keys, ordered, records, onAcked } = this.#options;
    const most = records.keeps.completed > 0 ? RECORDED : ordered === undefined ? BATCH : ORDERED_BATCH;
    while (this.#waiting.length > 0) {
      const batch = this.#waiting.splice(0, most);
      if (!(await retryUntilConfirmed.run(`acknowledging in '${keys.stream}'`, () => this.#send(batch)))) return;
      onAcked(batch);
    }
    this.#flushing = false;
  }

  #send(batch: readonly Delivery[]): Promise<unknown> {
    if (this.#options.ordered !== undefined) return this.#options.ordered.send(batch);
    if (this.#options.records.keeps.completed > 0) return this.#ackRecorded(batch);
    if (!batch.some(isMember)) return this.#ack(batch);
    // Either script may be repeated, so both are if one of them fails.
    const members = batch.filter(isMember);
    const others = batch.filter((delivery) => !isMember(delivery));
    return Promise.all([this.#ackMembers(members), ...(others.length > 0 ? [this.#ack(others)] : [])]);
  }

  #ackRecorded(batch: readonly Delivery[]): Promise<unknown> {
    const { link, keys, group, records } = this.#options;
    const { stream, index, side } = keys;
    const rest = batch.flatMap((each) => [each.id, each.taskId, each.join ?? '', records.completed(each)]);
    const history = records.keys.completed;
    return ackRecordedScript.run(link, { keys: { stream, index, history }, args: { group, side }, rest });
  }

  #ackMembers(members: readonly Delivery[]): Promise<unknown> {
    const { link, keys, group } = this.#options;
    const { stream, index, side } = keys;
    const rest = members.flatMap(({ id, taskId, join = '' }) => [id, taskId, join]);
    return ackMembersScript.run(link, { keys: { stream, index }, args: { group, side }, rest });
  }

  #ack(batch: readonly Delivery[]): Promise<unknown> {
    const { link, keys, group } = this.#options;
    const rest = batch.map(({ id }) => id);
    for (const { id, taskId } of batch) if (taskId !== id) rest.push(id, taskId);
    const { stream, index } = keys;
    return ackScript.run(link, { keys: { stream, index }, args: { group, count: batch.length }, rest });
  }
}

function isMember({ join }: Delivery): boolean {
  return join !== undefined;
}
