import { randomBytes } from 'node:crypto';
import { isUnavailable, type Clock, type Keyspace, type Link } from '../../redis/index.js';
import { injected, type Propagation } from '../task/propagation.js';
import type { TraceContext } from '../task/trace-context.js';
import type { ResolvedLengthLimit } from '../limits/length-limit.js';
import { lengthLimitOf, refuseLimitOfMembers, type QueuesByName } from '../limits/length-limits.js';
import type { QueueRef } from '../queue-definition.js';
import { LevelledPublisher } from './levelled-publisher.js';
import { LimitedPublisher } from './limited-publisher.js';
import { MembersPublisher, type Members } from './members-publisher.js';
import {
  isDelayed,
  isLevelled,
  isList,
  optionsAt,
  type Item,
  type PublishOptions,
  type SentOptions,
} from './publish.options.js';
import type { FollowUp } from './when-settled.options.js';
import { SendWindow } from './send-window.js';
import { sentMeta, type OwnMeta } from './sent-meta.js';
import { channels } from '../observe/queue.channels.js';
import { PublishUnconfirmedError, type PublishOutcome } from '../queue.errors.js';
import type { QueueKeys } from '../store/queue.keys.js';
import { KEY_FIELD } from '../store/scripts/gates.fragment.js';
import { delayScript } from '../store/scripts/delay.script.js';

export interface PublisherOptions {
  link: Link;
  keyspace: Keyspace;
  clock: Clock;
  /** The prefix of the names of inboxes. */
  inboxes: string;
  propagation: Propagation | undefined;
  queues: QueuesByName;
  /** Tasks were published that are due in `delayMs`. */
  onDelayed: (queue: string, keys: QueueKeys, delayMs: number) => void;
}

/** The tasks of one chunk are sent together. They take Redis some milliseconds, far less than any deadline. */
const CHUNK_TASKS = 1_000;
const CHUNK_CHARS = 4 * 1024 * 1024;
/** Delayed tasks in one script. All other clients wait while a script runs. */
const CHUNK_DELAYED = 200;

/** Sends tasks to Redis. If this is interrupted, its error says what is known of each task. */
export class Publisher {
  readonly #options: PublisherOptions;
  readonly #window = new SendWindow();
  readonly #limited: LimitedPublisher;
  readonly #members: MembersPublisher;
  readonly #levelled: LevelledPublisher;
  /** A task without an entry gets its id here: a unique one, and never of an entry's form, `<digits>-<digits>`. */
  readonly #idPrefix = `${randomBytes(9).toString('base64url')}.`;
  #ids = 0;

  constructor(options: PublisherOptions) {
    this.#options = options;
    const making = {
      newId: () => this.newId(),
      meta: (given: PublishOptions, own?: OwnMeta) => this.meta(given, own),
    };
    this.#limited = new LimitedPublisher({ ...options, ...making });
    this.#members = new MembersPublisher({ ...options, ...making });
    this.#levelled = new LevelledPublisher({ ...options, ...making });
  }

  /** Publishes one task, from its payload as JSON. Resolves with its id. */
  async one(
    queue: string,
    keys: QueueKeys,
    payload: string,
    options: SentOptions,
    ref: QueueRef<unknown>,
  ): Promise<string> {
    const limit = lengthLimitOf(ref, queue, this.#options.queues);
    if (limit !== undefined) return (await this.#limitedTo(limit, queue, keys, [{ payload, options }]))[0] ?? '';
    if (!this.#window.enter()) await this.#window.turn();
    try {
      const together = sendsTogether(options);
      const id = together
        ? ((await this.#together(queue, keys, [{ payload, options }]))[0] ?? '')
        : await this.#add(keys, payload, options);
      if (channels.published.hasSubscribers) tell(queue, id, options);
      return id;
    } catch (error) {
      if (!isUnknown(error)) throw error;
      throw new PublishUnconfirmedError(queue, [{ state: 'unknown' }], { cause: error });
    } finally {
      this.#window.leave();
    }
  }

  /**
   * Publishes many tasks, chunk by chunk. A chunk is sent when the one before is answered. So no task waits in this process until
   * its deadline is over, however many tasks there are. After the first failure no further chunk is sent. With `followUp`, each chunk is
   * one script, and that task is published when all these have ended.
   */
  async many(
    queue: string,
    keys: QueueKeys,
    payloads: readonly string[],
    options: PublishOptions | readonly PublishOptions[],
    ref: QueueRef<unknown>,
    followUp?: FollowUp,
  ): Promise<string[]> {
    const limit = lengthLimitOf(ref, queue, this.#options.queues);
    const members = followUp && this.#members.begin(payloads.length, followUp);
    if (members) refuseLimitOfMembers(queue, limit);
    else if (limit !== undefined) {
      const items = payloads.map((payload, i) => ({ payload, options: optionsAt(options, i) }));
      return [...(await this.#limitedTo(limit, queue, keys, items))];
    }
    // Without members, what follows is published all the same.
    if (payloads.length === 0 && members) await this.#nothingButFollowUp(queue, keys, members);
    const outcomes: PublishOutcome[] = [];
    const isTogether = isList(options) ? options.some(sendsTogether) : sendsTogether(options);
    const most = !members && isTogether ? CHUNK_DELAYED : CHUNK_TASKS;
    for (let from = 0; from < payloads.length; from = outcomes.length) {
      const chunk = chunkOf(payloads, from, most);
      const optionsOf = (i: number): PublishOptions => optionsAt(options, from + i);
      const items = (): Item[] => chunk.map((payload, i) => ({ payload, options: optionsOf(i) }));
      const sent = members
        ? await this.#sendMembers(queue, keys, members, items(), from)
        : await this.#send(queue, keys, chunk, optionsOf);
      outcomes.push(...sent.map(outcomeOf));
      if (channels.published.hasSubscribers) {
        for (const [i, each] of sent.entries()) if (each.status === 'fulfilled') tell(queue, each.value, optionsOf(i));
      }
      const failed = sent.find((each) => each.status === 'rejected');
      if (failed) throw this.#interrupted(queue, outcomes, payloads.length, failed.reason);
    }
    return outcomes.map((outcome) => (outcome.state === 'published' ? outcome.id : ''));
  }

  async #limitedTo(
    limit: ResolvedLengthLimit,
    queue: string,
    keys: QueueKeys,
    items: readonly Item[],
  ): Promise<readonly string[]> {
    try {
      const ids = await this.#limited.publish(queue, keys, items, limit);
      if (channels.published.hasSubscribers) {
        for (const [i, { options }] of items.entries()) tell(queue, ids[i] ?? '', options);
      }
      return ids;
    } catch (error) {
      if (!isUnknown(error)) throw error;
      const outcomes = items.map((): PublishOutcome => ({ state: 'unknown' }));
      throw new PublishUnconfirmedError(queue, outcomes, { cause: error });
    }
  }

  /** Sends one chunk: tasks for now one by one; those that are due at one time, or of one level, with one script. */
  #send(
    queue: string,
    keys: QueueKeys,
    chunk: readonly string[],
    optionsOf: (i: number) => PublishOptions,
  ): Promise<PromiseSettledResult<string>[]> {
    const sending: Promise<string>[] = [];
    const later = new Map<string | undefined, number[]>();
    for (const [i, payload] of chunk.entries()) {
      const options = optionsOf(i);
      if (!sendsTogether(options)) {
        sending[i] = this.#add(keys, payload, options);
        continue;
      }
      const due = isLevelled(options) ? options.priority : `${options.delayMs ?? ''}/${options.runAt?.getTime() ?? ''}`;
      const list = later.get(due);
      if (list) list.push(i);
      else later.set(due, [i]);
    }
    for (const list of later.values()) {
      const items = list.map((i) => ({ payload: chunk[i] ?? '', options: optionsOf(i) }));
      const ids = this.#together(queue, keys, items);
      for (const [at, i] of list.entries()) sending[i] = ids.then((all) => all[at] ?? '');
    }
    return Promise.allSettled(sending);
  }

  /** Sends one chunk of members: all of them are published, or none. */
  async #sendMembers(
    queue: string,
    keys: QueueKeys,
    members: Members,
    items: readonly Item[],
    from: number,
  ): Promise<PromiseSettledResult<string>[]> {
    try {
      const ids = await this.#members.send(queue, keys, members, items, from);
      return ids.map((value) => ({ status: 'fulfilled', value }));
    } catch (reason) {
      return items.map(() => ({ status: 'rejected', reason }));
    }
  }

  async #nothingButFollowUp(queue: string, keys: QueueKeys, members: Members): Promise<void> {
    try {
      await this.#members.send(queue, keys, members, [], 0);
    } catch (error) {
      if (!isUnknown(error)) throw error;
      throw new PublishUnconfirmedError(queue, [], { cause: error });
    }
  }

  #interrupted(queue: string, outcomes: PublishOutcome[], total: number, cause: unknown): unknown {
    if (outcomes.every(({ state }) => state === 'not-sent')) return cause;
    while (outcomes.length < total) outcomes.push({ state: 'not-sent' });
    return new PublishUnconfirmedError(queue, outcomes, { cause });
  }

  /** The fields have the same order everywhere, because Redis then stores their names once per block of entries. */
  #add({ stream }: QueueKeys, payload: string, options: SentOptions): Promise<string> {
    const fields = ['payload', payload, 'timestamp', this.#seconds(), 'retry_count', 0, 'meta', this.meta(options)];
    if (options.orderingKey !== undefined) fields.push(KEY_FIELD, options.orderingKey);
    return this.#options.link.send<string>('xadd', [stream, '*', ...fields]);
  }

  /** Publishes tasks of the level of the first one, or tasks that are all due at its time. */
  #together(queue: string, keys: QueueKeys, items: readonly Item[]): Promise<readonly string[]> {
    const { priority = 'normal' } = items[0]?.options ?? {};
    return priority === 'normal' ? this.#delay(queue, keys, items) : this.#levelled.publish(queue, priority, items);
  }

  /** Publishes tasks that are all due at the time of the first one. */
  async #delay(queue: string, keys: QueueKeys, items: readonly Item[]): Promise<string[]> {
    if (items.some(({ options }) => options.orderingKey !== undefined)) {
      return this.#limited.delayed(queue, keys, items);
    }
    const { link, inboxes, clock, onDelayed } = this.#options;
    const { delayMs = 0, runAt } = items[0]?.options ?? {};
    const { stream, delayed, bodies, alive } = keys;
    const ids = items.map(() => this.newId());
    await delayScript.run(link, {
      keys: { stream, delayed, bodies, alive },
      args: { delayMs, runAtMs: runAt?.getTime() ?? -1, inboxes, timestamp: String(this.#seconds()) },
      rest: items.flatMap(({ payload, options }, i) => [ids[i] ?? '', payload, this.meta(options, { id: ids[i] })]),
    });
    onDelayed(queue, keys, runAt === undefined ? delayMs : Math.max(0, runAt.getTime() - clock.wallMs()));
    return ids;
  }

  /** An id for a task that has no entry yet. */
  newId(): string {
    return this.#idPrefix + (this.#ids++).toString(36);
  }

  /** What is sent along with the payload: usually nothing. */
  meta(options: SentOptions, own?: OwnMeta): string {
    const { propagation } = this.#options;
    return sentMeta(options, own, propagation && ((): TraceContext => injected(propagation)));
  }

  #seconds(): number {
    return Math.floor(this.#options.clock.wallMs() / 1_000);
  }
}

function tell(queue: string, id: string, { delayMs = 0, runAt }: PublishOptions): void {
  channels.published.publish({ queue, id, delayMs, ...(runAt && { runAt }) });
}

/** Whether the task is sent by a script, with others. */
function sendsTogether(options: PublishOptions): boolean {
  return isDelayed(options) || isLevelled(options);
}

function chunkOf(payloads: readonly string[], from: number, most: number): readonly string[] {
  let to = from;
  for (let chars = 0; to < payloads.length && to - from < most && chars < CHUNK_CHARS; to++) {
    chars += payloads[to]?.length ?? 0;
  }
  return payloads.slice(from, to);
}

function outcomeOf(sent: PromiseSettledResult<string>): PublishOutcome {
  if (sent.status === 'fulfilled') return { state: 'published', id: sent.value };
  return { state: isUnknown(sent.reason) ? 'unknown' : 'not-sent' };
}

export function isUnknown(error: unknown): boolean {
  return isUnavailable(error) && error.outcome === 'unknown';
}
