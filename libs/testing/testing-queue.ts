import { Inject, Injectable } from '@nestjs/common';
import { checkName, SLUICE_CLOCK, type Clock } from '../redis/index.js';
import { queueName, type QueueDefinition, type QueueRef } from '../queue/define-queue.js';
import { HandlerRegistry, type Handler } from '../queue/handler.registry.js';
import { Task, type QueueService } from '../queue/index.js';
import { SluiceError } from '../weave/index.js';
import { encodePayload } from '../queue/payload.js';

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
  readonly #dead = new Map<string, DeadTask[]>();
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

  /** The tasks of a queue that failed for the last time. */
  dead<T>(queue: QueueRef<T>): readonly DeadTask<T>[] {
    return (this.#dead.get(nameOf(queue)) ?? []) as DeadTask<T>[];
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
        const dead = this.#dead.get(waiting.queue) ?? [];
        this.#dead.set(waiting.queue, [...dead, { id: waiting.id, payload: waiting.payload, error }]);
        counts.dead++;
      }
    }
    return counts;
  }

  #take(handlers: readonly Handler[]): { handler: Handler; waiting: Waiting } | undefined {
    for (const [i, waiting] of this.#waiting.entries()) {
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

  #task({ id, payload, queue, attempt }: Waiting): Task {
    // Each run gets a payload of its own, as it would from Redis.
    return new Task({ id, payload: structuredClone(payload), stream: queue, attempt });
  }

  #add(queue: string, text: string): string {
    const id = `${Math.floor(this.#clock.wallMs())}-${this.#tasks++}`;
    const task = { id, payload: JSON.parse(text) as unknown };
    this.#published.set(queue, [...(this.#published.get(queue) ?? []), task]);
    this.#waiting.push({ ...task, queue, group: undefined, attempt: 1 });
    return id;
  }
}

function nameOf(queue: QueueRef<unknown>): string {
  return checkName('queue', queueName(queue));
}
