import { Inject, Injectable } from '@nestjs/common';
import { checkName, SLUICE_CLOCK, type Clock } from '../redis/index.js';
import { queueName, type QueueDefinition, type QueueRef } from '../queue/define-queue.js';
import { HandlerRegistry, type Handler } from '../queue/handler.registry.js';
import {
  Task,
  type DeadLetter,
  type DeadLetters,
  type ListOptions,
  type QueueCounts,
  type QueueService,
  type QueueWorker,
  type TaskInfo,
  type TaskPage,
} from '../queue/index.js';
import { describeError } from '../queue/failures.js';
import { encodePayload } from '../queue/payload.js';
import { SluiceError } from '../weave/index.js';
import { TestingDeadLetters, type TestLetter } from './testing-dead-letters.js';

/** A task as it was published. */
export interface PublishedTask<T = unknown> {
  readonly id: string;
  readonly payload: T;
}

/** A task that failed on its last attempt, with what its handler threw, `===`. */
export interface DeadTask<T = unknown> extends PublishedTask<T> {
  readonly error: unknown;
}

interface Waiting extends PublishedTask {
  readonly queue: string;
  /** Undefined until it is known which groups read the queue. */
  readonly group: string | undefined;
  readonly attempt: number;
  readonly publishedAt: Date;
}

/**
 * The queue of a test: `publish` records, `drain` runs the handlers, nothing runs by itself.
 *
 * @example
 * const queue = app.get(TestingQueue);
 * await app.get(ShopService).order(book);
 * expect(queue.published(Orders)).toEqual([{ id: expect.any(String), payload: book }]);
 * expect(await queue.drain()).toEqual({ completed: 1, dead: 0 });
 */
@Injectable()
export class TestingQueue implements Pick<QueueService, keyof QueueService> {
  readonly #registry: HandlerRegistry;
  readonly #clock: Clock;
  readonly #published = new Map<string, PublishedTask[]>();
  readonly #dead = new Map<string, TestLetter[]>();
  readonly #paused = new Set<string>();
  #waiting: Waiting[] = [];
  #tasks = 0;

  constructor(@Inject(HandlerRegistry) registry: HandlerRegistry, @Inject(SLUICE_CLOCK) clock: Clock) {
    this.#registry = registry;
    this.#clock = clock;
  }

  publish<T>(queue: QueueDefinition<T>, payload: NoInfer<T>): Promise<string>;
  publish(stream: string, payload: unknown): Promise<string>;
  publish(queue: QueueRef<unknown>, payload: unknown): Promise<string> {
    return new Promise((resolve) => {
      resolve(this.#add(nameOf(queue), encodePayload(payload)));
    });
  }

  publishMany<T>(queue: QueueDefinition<T>, payloads: readonly NoInfer<T>[]): Promise<string[]>;
  publishMany(stream: string, payloads: readonly unknown[]): Promise<string[]>;
  publishMany(queue: QueueRef<unknown>, payloads: readonly unknown[]): Promise<string[]> {
    return new Promise((resolve) => {
      const name = nameOf(queue);
      const encoded = payloads.map((payload, i) => encodePayload(payload, `payloads[${i}]`));
      resolve(encoded.map((text) => this.#add(name, text)));
    });
  }

  /** The bare protocol is Redis' own: there is none here. */
  get raw(): never {
    throw new SluiceError('SLUICE_NO_REDIS', 'queue.raw needs a Redis; use SluiceModule with startRedis()');
  }

  /** All that was published to a queue, in order, whether it has been run or not. */
  published<T>(queue: QueueRef<T>): readonly PublishedTask<T>[] {
    return (this.#published.get(nameOf(queue)) ?? []) as PublishedTask<T>[];
  }

  /** The tasks of a queue that failed for the last time, with what their handler threw. */
  deadTasks<T>(queue: QueueRef<T>): readonly DeadTask<T>[] {
    return this.#lettersOf(nameOf(queue)).map(({ letter: { id, payload }, thrown }) => ({
      id,
      payload: payload as T,
      error: thrown,
    }));
  }

  /** As on Redis. */
  dead<T = unknown>(queue: QueueRef<T>): DeadLetters<T> {
    const name = nameOf(queue);
    const again = ({ id, payload, publishedAt, group }: DeadLetter<T>): void => {
      this.#waiting.push({ id, payload, publishedAt, queue: name, group, attempt: 1 });
    };
    // It has every public member; the private ones are what it does without.
    return new TestingDeadLetters(this.#lettersOf(name) as TestLetter<T>[], again) as unknown as DeadLetters<T>;
  }

  counts(queue: QueueRef<unknown>): Promise<QueueCounts> {
    const name = nameOf(queue);
    const waiting = this.#waiting.filter((each) => each.queue === name);
    const oldest = waiting.reduce((at, { publishedAt }) => Math.min(at, publishedAt.getTime()), Infinity);
    return Promise.resolve({
      waiting: waiting.length,
      running: 0,
      delayed: 0,
      dead: this.#lettersOf(name).length,
      oldestWaitingMs: waiting.length === 0 ? null : Math.max(0, this.#clock.wallMs() - oldest),
      paused: this.#paused.has(name),
    });
  }

  list(queue: QueueRef<unknown>, { state = 'waiting', limit = 100, after }: ListOptions = {}): Promise<TaskPage> {
    const all = this.#infos(nameOf(queue)).filter((task) => task.state === state);
    const from = all.findIndex(({ id }) => id === after) + 1;
    const tasks = all.slice(from, from + limit);
    return Promise.resolve({ tasks, next: from + limit < all.length ? tasks.at(-1)?.id : undefined });
  }

  inspect(queue: QueueRef<unknown>, id: string): Promise<TaskInfo | undefined> {
    return Promise.resolve(this.#infos(nameOf(queue)).find((task) => task.id === id));
  }

  async remove(queue: QueueRef<unknown>, id: string): Promise<boolean> {
    const name = nameOf(queue);
    const at = this.#waiting.findIndex((each) => each.queue === name && each.id === id);
    if (at >= 0) this.#waiting.splice(at, 1);
    return at >= 0 || (await this.dead(name).purge({ filter: (letter) => letter.id === id })) === 1;
  }

  /** `drain` passes a paused queue by. */
  pause(queue: QueueRef<unknown>): Promise<boolean> {
    const name = nameOf(queue);
    const changes = !this.#paused.has(name);
    this.#paused.add(name);
    return Promise.resolve(changes);
  }

  resume(queue: QueueRef<unknown>): Promise<boolean> {
    return Promise.resolve(this.#paused.delete(nameOf(queue)));
  }

  /** None: nothing runs by itself. */
  workers(): Promise<QueueWorker[]> {
    return Promise.resolve([]);
  }

  /**
   * Runs what waits, one after the other and each up to its handler's `maxAttempts`, until nothing is left, also of what
   * the handlers publish. Where several groups handle a queue, each gets every task. Tasks of a queue without a handler
   * go on waiting.
   */
  async drain(): Promise<{ completed: number; dead: number }> {
    const handlers = this.#registry.enabled();
    const counts = { completed: 0, dead: 0 };
    for (let next = this.#take(handlers); next !== undefined; next = this.#take(handlers)) {
      const { handler, waiting } = next;
      try {
        await handler.run(this.#task(waiting));
        counts.completed++;
      } catch (error) {
        if (waiting.attempt < handler.options.maxAttempts) {
          this.#waiting.push({ ...waiting, attempt: waiting.attempt + 1 });
          continue;
        }
        this.#lettersOf(waiting.queue).push({ letter: this.#letter(handler, waiting, error), thrown: error });
        counts.dead++;
      }
    }
    return counts;
  }

  #take(handlers: readonly Handler[]): { handler: Handler; waiting: Waiting } | undefined {
    for (const [i, waiting] of this.#waiting.entries()) {
      if (this.#paused.has(waiting.queue)) continue;
      const groups = handlers.filter(({ queue, options }) => {
        return queue === waiting.queue && (waiting.group ?? options.group) === options.group;
      });
      const [handler, ...others] = groups;
      if (!handler) continue;
      const copies = others.map(({ options }) => ({ ...waiting, group: options.group }));
      this.#waiting.splice(i, 1, ...copies);
      return { handler, waiting: { ...waiting, group: handler.options.group } };
    }
    return undefined;
  }

  #lettersOf(name: string): TestLetter[] {
    const letters = this.#dead.get(name) ?? [];
    this.#dead.set(name, letters);
    return letters;
  }

  #infos(name: string): TaskInfo[] {
    const waiting = this.#waiting.filter(({ queue }) => queue === name);
    return [
      ...waiting.map(({ id, payload, attempt, publishedAt }): TaskInfo => {
        return { id, state: 'waiting', payload, attempt, publishedAt };
      }),
      ...this.#lettersOf(name).map(({ letter }) => letter),
    ];
  }

  #letter({ options }: Handler, { id, payload, attempt, publishedAt }: Waiting, thrown: unknown): DeadLetter {
    const { error, stack } = describeError(thrown);
    return {
      ...{ id, payload, attempt, publishedAt, state: 'dead', entryId: id, reason: 'max-attempts' },
      ...{ error: error.toString(), stack: stack.toString(), group: options.group, deliveries: 1 },
      failedAt: new Date(this.#clock.wallMs()),
    };
  }

  #task({ id, payload, queue, attempt }: Waiting): Task {
    // Each run gets a payload of its own, as it would from Redis.
    return new Task({ id, payload: structuredClone(payload), stream: queue, attempt });
  }

  #add(queue: string, text: string): string {
    const id = `${Math.floor(this.#clock.wallMs())}-${this.#tasks++}`;
    const task = { id, payload: JSON.parse(text) as unknown };
    this.#published.set(queue, [...(this.#published.get(queue) ?? []), task]);
    this.#waiting.push({ ...task, queue, group: undefined, attempt: 1, publishedAt: new Date(this.#clock.wallMs()) });
    return id;
  }
}

function nameOf(queue: QueueRef<unknown>): string {
  return checkName('queue', queueName(queue));
}
