import type { QueueRef, UniquePublish } from '../../queue/index.js';
import type { TaskRef } from '../../queue/admin/task-info.js';
import { oneQueue } from '../../queue/named-tasks.js';
import { queueSchema } from '../../queue/queue-definition.js';
import { encodePayload } from '../../queue/task/payload.js';
import { checked } from '../../queue/task/standard-schema.js';
import { dropsItems, joinedBySeveralGroups, severalGroups } from '../../queue/publish/unique-publisher.js';
import { refuseUnique } from '../../queue/ordering/with-key.js';
import { refuseLengthLimit } from '../../queue/limits/length-limits.js';
import type { ResolvedQueueOptions } from '../../queue/queue.options.js';
import type { UniqueRequest } from '../../queue/publish/unique.options.js';
import type { TestingTasks, Waiting } from './testing-tasks.js';

/** What is known of the task that was published under a key. */
interface Known {
  readonly id: string;
  /** Until when the key is taken; undefined: until the task has ended. */
  readonly untilMs: number | undefined;
  readonly firstMs: number;
  readonly items: number;
  /** The task that this one follows. */
  readonly after?: string;
  /** It has items that were collected. */
  readonly isList?: boolean;
}

/** Publishes under keys, by the rules of the real queue. */
export class TestingKeys {
  readonly #tasks: TestingTasks;
  readonly #settings: ResolvedQueueOptions;
  readonly #groupsOf: (queue: string) => readonly string[];
  readonly #known = new Map<string, Known>();
  readonly #answers = new Map<string, UniquePublish>();

  constructor(tasks: TestingTasks, settings: ResolvedQueueOptions, groupsOf: (queue: string) => readonly string[]) {
    this.#tasks = tasks;
    this.#groupsOf = groupsOf;
    this.#settings = settings;
  }

  /** The id of a task; undefined: no task was published under the key. */
  idOf(queue: string, task: TaskRef): string | undefined {
    return typeof task === 'string' ? task : this.#known.get(JSON.stringify([queue, task.key]))?.id;
  }

  /** Publishes a task. To collect, `payload` is the item; `whole` is what the queue's schema is for. `joined` waits for its end. */
  async publish(
    ref: QueueRef<unknown>,
    payload: unknown,
    whole: unknown,
    request: UniqueRequest,
    joined?: (id: string) => void,
  ): Promise<UniquePublish> {
    const call = joined ? 'publishAndWait with a key' : request.mode === 'collect' ? 'collect' : 'publishUnique';
    const queue = oneQueue(ref, call);
    const groups = this.#groupsOf(queue);
    if (joined && groups.length > 1) throw joinedBySeveralGroups(queue, groups);
    refuseLengthLimit(ref, queue, this.#settings.queues, call);
    refuseUnique(ref, request.options, call);
    const text = encodePayload(payload, 'payload', this.#settings.maxPayloadBytes);
    const schema = queueSchema(ref);
    if (schema) await checked(schema, whole, { queue, root: 'payload', at: 'publish' });
    const nonce = JSON.stringify([queue, request.key, request.nonce]);
    const answered = request.nonce === undefined ? undefined : this.#answers.get(nonce);
    if (answered) return answered;
    const answer = joined ? this.#join(queue, text, request) : this.#answer(queue, text, request);
    joined?.(answer.id);
    if (request.nonce !== undefined && answer.outcome !== 'skipped') this.#answers.set(nonce, answer);
    return answer;
  }

  /** The task that is there, or a new one. A window holds nobody who waits. */
  #join(queue: string, text: string, request: UniqueRequest): UniquePublish {
    const known = this.#known.get(JSON.stringify([queue, request.key]));
    const isThere = known && this.#tasks.isActive(queue, known.id);
    return isThere ? { id: known.id, outcome: 'skipped' } : this.#publish(queue, text, request);
  }

  #answer(queue: string, text: string, request: UniqueRequest): UniquePublish {
    switch (request.mode) {
      case 'skip':
        return this.#skip(queue, text, request);
      case 'replace':
        return this.#replace(queue, text, request) ?? this.#publish(queue, text, request);
      case 'follow-up':
        return this.#followUp(queue, text, request);
      default:
        return this.#wait(queue, text, request);
    }
  }

  #followUp(queue: string, text: string, request: UniqueRequest): UniquePublish {
    const name = JSON.stringify([queue, request.key]);
    const known = this.#known.get(name);
    const isActive = (id: string | undefined): boolean => id !== undefined && this.#tasks.isActive(queue, id);
    const replaced = this.#replace(queue, text, request);
    if (replaced)
      return isActive(this.#waiting(queue, replaced.id)?.after) ? { ...replaced, outcome: 'follows' } : replaced;
    const after = [known?.id, known?.after].find(isActive);
    const { id, outcome } = this.#publish(queue, text, request);
    const waiting = this.#waiting(queue, id);
    if (after === undefined || !waiting) return { id, outcome };
    this.#tasks.replace(queue, { ...waiting, after });
    this.#known.set(name, { id, untilMs: undefined, firstMs: this.#tasks.nowMs(), items: 0, after });
    return { id, outcome: 'follows' };
  }

  /** Undefined: no task waits that could be replaced. */
  #replace(queue: string, text: string, request: UniqueRequest): UniquePublish | undefined {
    const groups = this.#groupsOf(queue);
    if (groups.length > 1) throw severalGroups(queue, request.mode, groups);
    const known = this.#known.get(JSON.stringify([queue, request.key]));
    const waiting = known && this.#waiting(queue, known.id);
    if (!known || !waiting) return undefined;
    if (known.isList) throw dropsItems(queue, request.mode);
    const payload: unknown = JSON.parse(text);
    const { maxAttempts } = request.options;
    const fresh = { ...waiting, payload, maxAttempts, attempt: 1, deferral: undefined };
    this.#tasks.replace(queue, fresh);
    // One that is delayed keeps its time, and one that waits goes to the end.
    const { waiting: all } = this.#tasks;
    if (this.#tasks.isDue(fresh)) all.push(...all.splice(all.indexOf(fresh), 1));
    return { id: known.id, outcome: 'replaced' };
  }

  #skip(queue: string, text: string, request: UniqueRequest): UniquePublish {
    const known = this.#known.get(JSON.stringify([queue, request.key]));
    const nowMs = this.#tasks.nowMs();
    const isTaken =
      known && (known.untilMs === undefined ? this.#tasks.isActive(queue, known.id) : known.untilMs > nowMs);
    return isTaken ? { id: known.id, outcome: 'skipped' } : this.#publish(queue, text, request);
  }

  #publish(queue: string, text: string, { key, windowMs, options }: UniqueRequest): UniquePublish {
    const name = JSON.stringify([queue, key]);
    const nowMs = this.#tasks.nowMs();
    const id = this.#tasks.add(queue, text, options);
    const untilMs = windowMs > 0 ? nowMs + windowMs : undefined;
    this.#known.set(name, { id, untilMs, firstMs: nowMs, items: 0 });
    return { id, outcome: 'published' };
  }

  #wait(queue: string, text: string, request: UniqueRequest): UniquePublish {
    const { mode, key, windowMs, maxWaitMs, max, options } = request;
    const name = JSON.stringify([queue, key]);
    const nowMs = this.#tasks.nowMs();
    const known = this.#known.get(name);
    const waiting = known && this.#waiting(queue, known.id);
    const isCollect = mode === 'collect';
    if (
      known &&
      waiting?.attempt === 1 &&
      waiting.dueMs > nowMs &&
      (!isCollect || this.#hasRoom(known, waiting, text, max))
    ) {
      if (known.isList && !isCollect) throw dropsItems(queue, mode);
      const item: unknown = JSON.parse(text);
      const payload = isCollect ? [...(waiting.payload as unknown[]), item] : item;
      const items = known.items + 1;
      const isFull = isCollect && items >= max;
      const dueMs = isFull ? nowMs : Math.min(nowMs + windowMs, known.firstMs + maxWaitMs);
      this.#tasks.replace(queue, { ...waiting, payload, dueMs, maxAttempts: options.maxAttempts });
      this.#known.set(name, { ...known, items, isList: isCollect });
      return { id: known.id, outcome: isCollect ? 'collected' : 'postponed' };
    }
    const delayMs = isCollect && max <= 1 ? 0 : Math.min(windowMs, maxWaitMs);
    const id = this.#tasks.add(queue, isCollect ? `[${text}]` : text, { ...options, delayMs });
    this.#known.set(name, { id, untilMs: undefined, firstMs: nowMs, items: 1, isList: isCollect });
    return { id, outcome: 'published' };
  }

  #hasRoom({ items }: Known, { payload }: Waiting, text: string, max: number): boolean {
    // Under one key, other modes may have published something else than a list.
    const bytes = Buffer.byteLength(JSON.stringify(payload)) + Buffer.byteLength(text) + 1;
    return Array.isArray(payload) && items < max && bytes <= this.#settings.maxPayloadBytes;
  }

  #waiting(queue: string, id: string): Waiting | undefined {
    return this.#tasks.waiting.find((each) => each.queue === queue && each.id === id);
  }
}
