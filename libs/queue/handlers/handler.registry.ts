import { Inject, Injectable } from '@nestjs/common';
import { REDIS_CONNECTIONS, type RedisConnections } from '../../redis/index.js';
import { SluiceError } from '../../weave/index.js';
import type { HandlerCall } from './handler-calls.js';
import { handlerRun } from './handler-run.js';
import {
  checkHandlerOptions,
  mergeHandlerOptions,
  type ResolvedHandlerOptions,
  type ResolvedQueueOptions,
} from '../queue.options.js';
import type { DeclaredHandler } from '../decorators/task-handler.decorator.js';
import { QUEUE_OPTIONS } from '../queue.tokens.js';

/** One handler of this process, ready to be called. */
export interface Handler {
  /** `Class.method`, for messages. */
  readonly site: string;
  readonly queue: string;
  readonly options: ResolvedHandlerOptions;
  readonly run: HandlerCall;
}

/** The handlers of an app: one per queue and group. */
@Injectable()
export class HandlerRegistry {
  readonly #settings: ResolvedQueueOptions;
  readonly #defaultGroup: string;
  readonly #handlers: Handler[] = [];

  constructor(
    @Inject(QUEUE_OPTIONS) settings: ResolvedQueueOptions,
    @Inject(REDIS_CONNECTIONS) connections: RedisConnections,
  ) {
    this.#settings = settings;
    this.#defaultGroup = connections.keyspace.namespace ?? 'sluice';
  }

  /**
   * Adds a handler. `callOf` creates its call, with Nest's enhancers or without.
   *
   * @throws SluiceError `SLUICE_DUPLICATE_HANDLER`, which names both handlers; `SLUICE_BAD_OPTION`
   */
  add(
    className: string,
    { key, queue, schema, options: given }: DeclaredHandler,
    callOf: (enhancers: boolean) => HandlerCall,
  ): void {
    const site = `${className}.${String(key)}`;
    const declared = checkHandlerOptions(`@TaskHandler('${queue}') on ${site}`, given);
    const options = mergeHandlerOptions(queue, declared, this.#settings, this.#defaultGroup);
    const other = this.#of(queue).find((handler) => handler.options.group === options.group);
    if (other) {
      throw new SluiceError(
        'SLUICE_DUPLICATE_HANDLER',
        `queue '${queue}' has two handlers in group '${options.group}': ${other.site} and ${site}. ` +
          'Each task goes to one of a group: keep one handler, give the other a queue of its own, or a group of its ' +
          'own if both shall get every task',
      );
    }
    const call = callOf(options.enhancers);
    const { propagation } = this.#settings;
    this.#handlers.push({ site, queue, options, run: handlerRun({ site, queue, call, schema, propagation }) });
  }

  /**
   * The handlers for which this process works, according to the `consumers` option.
   *
   * @throws SluiceError `SLUICE_BAD_OPTION` if `consumers` names a queue without a handler
   */
  enabled(): Handler[] {
    const { consumers } = this.#settings;
    if (consumers === false) return [];
    if (consumers === undefined) return [...this.#handlers];
    return [...new Set(consumers)].flatMap((queue) => {
      const handlers = this.#of(queue);
      if (handlers.length > 0) return handlers;
      throw new SluiceError(
        'SLUICE_BAD_OPTION',
        `queue.consumers names '${queue}', for which there is no @TaskHandler; queues with one: ${this.#known}`,
      );
    });
  }

  /** Whether this process works on the queue. Then its worker moves the queue's delayed tasks. */
  worksOn(queue: string): boolean {
    const { consumers } = this.#settings;
    if (consumers === false || consumers?.includes(queue) === false) return false;
    return this.#of(queue).length > 0;
  }

  /**
   * A warning about entries of `queue.handlers` without a handler: a typo must not be silent. In a process that only
   * publishes, such entries say which group its operations mean.
   */
  unmatched(): string | undefined {
    const { consumers, handlers } = this.#settings;
    const unmatched = [...handlers.keys()].filter((queue) => this.#of(queue).length === 0);
    if (consumers === false || unmatched.length === 0) return undefined;
    return (
      `queue.handlers has options for ${quoted(unmatched)}, ` +
      `but no provider has a @TaskHandler for such a queue. Queues with one: ${this.#known}`
    );
  }

  /**
   * The group for operations on a queue if the caller names none: the group of this app's handler. With several handlers it is
   * the default group, if one of them is in it, else the group of the first handler.
   */
  groupOf(queue: string): string {
    const { handlers, defaults } = this.#settings;
    const configured = handlers.get(queue)?.group ?? defaults.group ?? this.#defaultGroup;
    const groups = this.groupsOf(queue);
    return groups.includes(configured) ? configured : (groups[0] ?? configured);
  }

  /** The groups of the handlers of a queue. */
  groupsOf(queue: string): string[] {
    return this.#of(queue).map(({ options }) => options.group);
  }

  get #known(): string {
    return quoted(this.#handlers.map(({ queue }) => queue)) || 'none';
  }

  #of(queue: string): Handler[] {
    return this.#handlers.filter((handler) => handler.queue === queue);
  }
}

function quoted(queues: readonly string[]): string {
  return [...new Set(queues)].map((queue) => `'${queue}'`).join(', ');
}
