import { checkName, slotOf, type Keyspace } from '../../redis/index.js';
import { SluiceError, badOption } from '../../weave/index.js';
import { oneQueue } from '../named-tasks.js';
import { refuseOrdered } from '../ordering/ordering.options.js';
import { checkPublishOptions, type PublishOptions } from '../publish/publish.options.js';
import { queueSchema } from '../queue-definition.js';
import { checkSameSlot } from '../same-slot.js';
import { queueKeys } from '../store/queue.keys.js';
import { encodePayload } from '../task/payload.js';
import { checkSoon } from '../task/standard-schema.js';
import type { TraceContext } from '../task/trace-context.js';
import { wordsOf, type AckWrite } from './ack-write.js';

/**
 * The options of `task.next`: those of `publish`, without `signal`, because nothing waits for room, without `priority`: in a queue
 * with levels, a task that follows is of the level `normal`; and without `orderingKey`: it has no order.
 */
export type NextOptions = Omit<PublishOptions, 'signal' | 'priority' | 'orderingKey'>;

/** A task that `task.next` noted. */
export interface NotedTask {
  /** The name of the queue. */
  readonly queue: string;
  readonly payload: unknown;
  readonly options: NextOptions;
}

/** What a handler has noted for the acknowledgement of its task, in order. */
export interface Noted {
  /** By `task.next`. */
  readonly next: readonly NotedTask[];
  /** By `task.onAck`. */
  readonly writes: readonly AckWrite[];
}

/** What the checks need to know of the task's queue. Without a keyspace, there are no slots. */
export interface NotingContext {
  /** The name of the queue whose task it is. */
  readonly queue: string;
  readonly keyspace?: Keyspace;
  readonly maxPayloadBytes: number;
  /** Whether the queue is ordered by key, or its handler has a limit by key: then its tasks take no notes. */
  readonly hasKeys?: boolean;
  /** The trace context that is active now. */
  readonly trace?: (() => TraceContext) | undefined;
}

/** What a task has of its run: a signal, a place for notes, and who takes its progress. */
export interface TaskRun {
  readonly signal: AbortSignal;
  readonly notes: TaskNotes;
  report?(value: unknown): void;
}

/** A task that is to be published, as it is sent. */
export interface SentNext {
  readonly queue: string;
  /** As JSON. */
  readonly payload: string;
  readonly options: NextOptions;
}

/** How many writes, and how many tasks, one task may note. */
const NOTES_MOST = 100;
/** How many characters all of them may have: they are one script, and all other clients wait for it. */
const CHARS_MOST = 4 * 1024 * 1024;

const ELSEWHERE =
  ". Or publish before the task is acknowledged, under a key that is made of the task's id: " +
  'queue.publishUnique(target, payload, { key: `${task.id}#0`, windowMs: 604_800_000 })';

/** What a handler notes for the acknowledgement of one task. Each note is checked when it is made, as far as that is possible without Redis. */
export class TaskNotes {
  readonly #context: NotingContext;
  readonly #next: NotedTask[] = [];
  readonly #sent: SentNext[] = [];
  readonly #writes: AckWrite[] = [];
  readonly #words: (readonly string[])[] = [];
  #checks: Promise<void>[] | undefined;
  #chars = 0;
  #isClosed: boolean;

  /** @param isClosed whether the run has ended already */
  constructor(context: NotingContext, isClosed = false) {
    this.#context = context;
    this.#isClosed = isClosed;
  }

  get noted(): Noted {
    return { next: [...this.#next], writes: [...this.#writes] };
  }

  /** Whether nothing was noted. */
  get isEmpty(): boolean {
    return this.#sent.length === 0 && this.#words.length === 0;
  }

  /** The tasks to publish. */
  get sent(): readonly SentNext[] {
    return this.#sent;
  }

  /** The writes, each as its words. */
  get words(): readonly (readonly string[])[] {
    return this.#words;
  }

  /** Notes a task. */
  next(ref: unknown, payload: unknown, given: unknown): void {
    const site = 'task.next';
    this.#refuse(site);
    const { queue: own, keyspace, maxPayloadBytes, trace } = this.#context;
    const queue = oneQueue(ref, site);
    refuseOrdered(ref, site, 'Tasks that follow have no order: let the handler of another queue publish them');
    if (keyspace) checkSameSlot(keyspace, own, queue, site, ELSEWHERE);
    const text = encodePayload(payload, 'payload', maxPayloadBytes);
    const options = checkOptions(given, site);
    const schema = queueSchema(ref);
    const check = schema && checkSoon(schema, payload, queue);
    this.#count(`${site}: calls`, this.#sent.length + 1, text.length);
    if (check) this.#wait(check);
    this.#next.push({ queue, payload, options });
    const context = options.trace ?? trace?.();
    this.#sent.push({ queue, payload: text, options: context ? { ...options, trace: context } : options });
  }

  /** Notes writes: all of them, or none if one is refused. */
  write(writes: unknown): void {
    const site = 'task.onAck';
    this.#refuse(site);
    if (!Array.isArray(writes)) throw badOption(`${site}: writes`, "a list such as [['set', key, value]]", writes);
    const words = writes.map((write, i) => wordsOf(write, `${site}: writes[${i}]`, (key) => this.#keyOf(key)));
    const chars = words.flat().reduce((sum, word) => sum + word.length, 0);
    this.#count(`${site}: writes`, this.#words.length + words.length, chars);
    this.#words.push(...words);
    this.#writes.push(...(writes as AckWrite[]));
  }

  /** Resolves when all payloads have been checked. Rejects with the first refusal. */
  async checked(): Promise<void> {
    await Promise.all(this.#checks ?? []);
  }

  /** The run has ended: nothing more is noted. */
  close(): void {
    this.#isClosed = true;
  }

  #wait(check: Promise<void>): void {
    // A run that fails is not interested in it.
    check.catch(() => {});
    (this.#checks ??= []).push(check);
  }

  #refuse(site: string): void {
    const { queue, hasKeys } = this.#context;
    if (hasKeys) {
      throw new SluiceError(
        'SLUICE_BAD_OPTION',
        `${site}: queue '${queue}' has an orderingKey, or its handler concurrency.perKey, and its tasks take no notes. Let them publish a task of ` +
          'another queue, whose handler notes',
      );
    }
    if (!this.#isClosed) return;
    throw new SluiceError(
      'SLUICE_TASK_ENDED',
      `${site}: the run of the task has ended, so nothing can go with its acknowledgement any more. Await what the handler begins`,
    );
  }

  /** Refuses too many or too large notes. `what` are counted, and there are `count` of them now. */
  #count(what: string, count: number, chars: number): void {
    const why =
      'for one task, because they are one step in Redis, and all other clients wait for it. Note a task that does the rest';
    if (count > NOTES_MOST) throw badOption(what, `at most ${NOTES_MOST} ${why}`, count);
    const all = this.#chars + chars;
    if (all > CHARS_MOST) throw badOption(what, `at most ${CHARS_MOST} characters in all ${why}`, all);
    this.#chars = all;
  }

  #keyOf(given: unknown): string {
    const { queue, keyspace } = this.#context;
    const key = keyspace ? keyspace.literal('key', given) : checkName('key', given);
    if (!keyspace) return key;
    const { stream } = queueKeys(keyspace, queue);
    const beside = stream.includes('{') ? stream.slice(0, stream.indexOf('}') + 1) : `{${stream}}`;
    const fix = `'${beside}:${key.replace(/[{}]/g, '')}'`;
    if (key === stream) {
      throw new SluiceError(
        'SLUICE_BAD_NAME',
        `task.onAck: '${key}' is the queue itself. Use another key, such as ${fix}`,
      );
    }
    if (slotOf(key) === slotOf(stream)) return key;
    throw new SluiceError(
      'SLUICE_CROSS_SLOT',
      `task.onAck: the key '${key}' and the queue '${queue}' are in different Cluster slots, so one step cannot change both. Give the ` +
        `key a name with the hash tag of the queue: ${fix}`,
    );
  }
}

/** Options of `publish` that are refused here, and why. */
const REFUSED = {
  signal: 'left out: the task is published with the acknowledgement, and waits for no room',
  priority: "left out: a task that follows is of the level 'normal'",
  orderingKey: 'left out: a task that follows has no order. Let its handler publish into the ordered queue',
};

function checkOptions(given: unknown, site: string): NextOptions {
  const options = checkPublishOptions(given as PublishOptions | undefined, site);
  for (const [name, wanted] of Object.entries(REFUSED)) {
    const value = options[name as keyof typeof REFUSED];
    if (value !== undefined) throw badOption(`${site}: ${name}`, wanted, value);
  }
  return options;
}
