import { Inject, Injectable } from '@nestjs/common';
import { REDIS_CONNECTIONS, type Keyspace, type RedisConnections } from '../../redis/index.js';
import { SluiceError } from '../../weave/index.js';
import { batchRun, type BatchRun } from './batch-run.js';
import type { Handled, HandlerCall } from './handler-calls.js';
import { handlerRun } from './handler-run.js';
import {
  checkSchedulePayloads,
  handlerSchedules,
  refuseDuplicates,
  type HandlerSchedule,
} from './handler-schedules.js';
import { historyOf } from '../history/history-of.js';
import type { ResolvedHistory } from '../history/history.options.js';
import { sharesOf } from '../limits/queue-shares.js';
import { namedIn, optionNames } from '../named-tasks.js';
import type { NotingContext } from '../notes/task-notes.js';
import type { ResolvedShares } from '../priority/shares.js';
import { queueSchema, type NamedTask, type QueueDefinition, type QueueRef } from '../queue-definition.js';
import {
  checkHandlerOptions,
  configured,
  mergeHandlerOptions,
  type DeclaredOptions,
  type ResolvedHandlerOptions,
} from '../handler.options.js';
import type { ResolvedQueueOptions } from '../queue.options.js';
import type { DeclaredHandler } from '../decorators/task-handler.decorator.js';
import type { DeclaredSchedule } from '../decorators/task-schedule.decorator.js';
import { LEVELS, partsOfPlace, placeOf, type Priority } from '../store/levels.js';
import { queueKeys } from '../store/queue.keys.js';
import { injected } from '../task/propagation.js';
import type { TraceContext } from '../task/trace-context.js';
import { QUEUE_OPTIONS } from '../queue.tokens.js';

/** One handler of this process, ready to be called. */
export interface Handler {
  /** `Class.method`, for messages. */
  readonly site: string;
  /** The name of the queue. */
  readonly queue: string;
  /** The name of its stream: the queue's own, or that of one of its levels (see `placeOf`). */
  readonly place: string;
  /** If the queue has levels of priority: which one this handler reads, and its share. */
  readonly level?: HandlerLevel | undefined;
  /** If the queue is one task of several: which one. */
  readonly task?: NamedTask;
  /** The names by which options mean this handler's queue. */
  readonly names: readonly string[];
  readonly options: ResolvedHandlerOptions;
  /** Runs one task. A handler of batches has no use for it. */
  readonly run: HandlerCall;
  /** Runs a batch; undefined: the handler takes single tasks. */
  readonly runBatch?: BatchRun | undefined;
  /** The schedules that publish tasks for it. */
  readonly schedules: readonly HandlerSchedule[];
  /** For the checks of what it notes for an acknowledgement. */
  readonly noting: NotingContext & { readonly keyspace: Keyspace };
  /** The stream to which a task is published for each dead letter; undefined: there is none. */
  readonly failedTo?: string | undefined;
  /** How many records of ended tasks are kept; undefined: none. */
  readonly history?: ResolvedHistory | undefined;
}

/** One level of a queue, for its handler. */
export interface HandlerLevel {
  readonly priority: Priority;
  readonly share: number;
}

/** The handlers of an app: one per queue and group. */
@Injectable()
export class HandlerRegistry {
  readonly #settings: ResolvedQueueOptions;
  readonly #defaultGroup: string;
  readonly #keyspace: Keyspace;
  readonly #handlers: Handler[] = [];

  constructor(
    @Inject(QUEUE_OPTIONS) settings: ResolvedQueueOptions,
    @Inject(REDIS_CONNECTIONS) connections: RedisConnections,
  ) {
    this.#settings = settings;
    this.#keyspace = connections.keyspace;
    this.#defaultGroup = connections.keyspace.namespace ?? 'sluice';
  }

  /**
   * Adds a handler: of one queue, or of each named task of a queue. `callOf` creates its call, with Nest's enhancers or without.
   *
   * @throws SluiceError `SLUICE_DUPLICATE_HANDLER`, which names both handlers; `SLUICE_DUPLICATE_SCHEDULE`, `SLUICE_BAD_OPTION`,
   * `SLUICE_BAD_NAME`
   */
  add(
    className: string,
    handler: DeclaredHandler,
    callOf: (enhancers: boolean) => HandlerCall<Handled>,
    declaredSchedules: readonly DeclaredSchedule[] = [],
  ): void {
    const { key, queue, queues, isWhole, options: given } = handler;
    const site = `${className}.${String(key)}`;
    const declared = checkHandlerOptions(`@TaskHandler('${queue}') on ${site}`, given);
    const schedules = handlerSchedules(className, handler, declaredSchedules, this.#settings.maxPayloadBytes);
    refuseDuplicates(this.#schedules, schedules);
    for (const definition of queues) this.#add(site, definition, { declared, isWhole, schedules }, callOf);
  }

  #add(
    site: string,
    definition: QueueDefinition<unknown>,
    {
      declared,
      isWhole,
      schedules,
    }: { declared: DeclaredOptions; isWhole: boolean; schedules: readonly HandlerSchedule[] },
    callOf: (enhancers: boolean) => HandlerCall<Handled>,
  ): void {
    const { name: queue, task } = definition;
    const names = optionNames(queue, namedIn(definition));
    const options = mergeHandlerOptions(definition, declared, this.#settings, this.#defaultGroup, isWhole);
    const { deadLetterTo } = options;
    const failedTo = deadLetterTo === undefined ? undefined : queueKeys(this.#keyspace, deadLetterTo).stream;
    const other = this.#of(queue).find((handler) => handler.options.group === options.group);
    if (other) throw duplicate(queue, options.group, other.site, site);
    this.#refuseOneNameForTwo(site, queue, names);
    refuseWithBatch(site, queue, options);
    const call = callOf(options.enhancers);
    const { propagation, maxPayloadBytes } = this.#settings;
    const trace = propagation && ((): TraceContext => injected(propagation));
    const hasKeys = options.ordering !== undefined || options.perKey !== undefined;
    const noting = { queue, keyspace: this.#keyspace, maxPayloadBytes, hasKeys, trace };
    const parts = { site, queue, call, schema: queueSchema(definition), task };
    const run = handlerRun({ ...parts, propagation });
    const runBatch = options.batch && batchRun(parts);
    const added = {
      site,
      queue,
      place: queue,
      ...(task && { task }),
      names,
      options,
      run,
      runBatch,
      schedules,
      failedTo,
      noting,
      history: historyOf(definition, queue, this.#settings.queues),
    };
    const shares = sharesOf(definition, queue, this.#settings.queues);
    if (shares !== undefined) refuseWithLevels(site, queue, options);
    this.#handlers.push(...(shares === undefined ? [added] : levelled(added, shares)));
  }

  /** The shares of a queue's levels: by the caller's reference, by the configuration, or by a handler of this process. */
  sharesOf(queue: QueueRef<unknown>, name: string): ResolvedShares | undefined {
    const known = sharesOf(queue, name, this.#settings.queues);
    if (known !== undefined) return known;
    const levels = this.#of(name).flatMap(({ level }) => (level ? [[level.priority, level.share] as const] : []));
    return levels.length === 0 ? undefined : (Object.fromEntries(levels) as ResolvedShares);
  }

  /** The queue `files.import` and the task `import` of the queue `files` would have the same name in options. */
  #refuseOneNameForTwo(site: string, queue: string, names: readonly string[]): void {
    const other = this.#handlers.find(
      (handler) => handler.queue !== queue && handler.names.slice(-2).some((name) => names.slice(-2).includes(name)),
    );
    if (other === undefined) return;
    throw new SluiceError(
      'SLUICE_BAD_NAME',
      `the queues '${other.queue}' of ${other.site} and '${queue}' of ${site} have the same name in queue.handlers and ` +
        'queue.consumers: rename one of them',
    );
  }

  /**
   * Checks the payloads of all schedules by the schemas of their queues, which may be asynchronous.
   *
   * @throws SluiceError `SLUICE_BAD_OPTION`
   */
  checkSchedules(): Promise<void> {
    return checkSchedulePayloads(this.#schedules);
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
    const named = [...new Set(consumers)].flatMap((queue) => {
      const handlers = this.#named(queue);
      if (handlers.length > 0) return handlers;
      throw new SluiceError(
        'SLUICE_BAD_OPTION',
        `queue.consumers names '${queue}', for which there is no @TaskHandler; queues with one: ${this.#known}`,
      );
    });
    return [...new Set(named)];
  }

  /** Whether this process works on the queue. Then its worker moves the queue's delayed tasks. */
  worksOn(queue: string): boolean {
    const { consumers } = this.#settings;
    if (consumers === false) return false;
    return this.#of(queue).some(
      ({ names }) => consumers === undefined || names.some((name) => consumers.includes(name)),
    );
  }

  /**
   * A warning about entries of `queue.handlers` without a handler: a typo must not be silent. In a process that only
   * publishes, such entries say which group its operations mean.
   */
  unmatched(): string | undefined {
    const { consumers, handlers } = this.#settings;
    const unmatched = [...handlers.keys()].filter((queue) => this.#named(queue).length === 0);
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
  groupOf(place: string): string {
    const { queue } = partsOfPlace(place);
    const [handler] = this.#of(queue);
    const { group = this.#settings.defaults.group ?? this.#defaultGroup } = configured(
      this.#settings,
      handler?.names ?? optionNames(queue),
    );
    const groups = this.groupsOf(queue);
    return groups.includes(group) ? group : (groups[0] ?? group);
  }

  /** The groups of the handlers of a queue. */
  groupsOf(queue: string): string[] {
    return [...new Set(this.#of(queue).map(({ options }) => options.group))];
  }

  get #schedules(): HandlerSchedule[] {
    return this.#handlers.flatMap(({ schedules }) => schedules);
  }

  get #known(): string {
    return quoted(this.#handlers.map(({ queue }) => queue)) || 'none';
  }

  /** The handlers that options mean by this name. */
  #named(name: string): Handler[] {
    return this.#handlers.filter(({ names }) => names.includes(name));
  }

  #of(queue: string): Handler[] {
    return this.#handlers.filter((handler) => handler.queue === queue);
  }
}

/**
 * A handler for each level. Levels with less come first: in a read that brings tasks of several, the few tasks of a quiet level are taken
 * before the many of a busy one. Schedules publish to the queue's own stream.
 */
function levelled(handler: Handler, shares: ResolvedShares): Handler[] {
  return [...LEVELS].reverse().map((priority) => ({
    ...handler,
    place: placeOf(handler.queue, priority),
    level: { priority, share: shares[priority] },
    schedules: priority === 'normal' ? handler.schedules : [],
  }));
}

/** A limit of the fleet is counted on one stream, and a batch is made of one; a queue with levels has three. */
function refuseWithLevels(site: string, queue: string, options: ResolvedHandlerOptions): void {
  const { fleet, rateLimit, batch, perKey } = options;
  const given = {
    ...{ 'a concurrency of the fleet': fleet, 'a concurrency perKey': perKey },
    ...{ 'a rateLimit': rateLimit, 'a batch': batch },
  };
  const [what] = Object.entries(given).find(([, value]) => value !== undefined) ?? [];
  if (what === undefined) return;
  throw new SluiceError(
    'SLUICE_BAD_OPTION',
    `${site}: queue '${queue}' has levels of priority (shares), and its handler has ${what}: ` +
      'they do not go together. Use one of the two',
  );
}

function duplicate(queue: string, group: string, first: string, second: string): SluiceError {
  if (first === second) {
    return new SluiceError(
      'SLUICE_DUPLICATE_HANDLER',
      `queue '${queue}' has ${first} as its handler twice in group '${group}': there are two objects of the class. If two modules have it among ` +
        'their providers, keep it in one, export it there, and import that module in the other',
    );
  }
  return new SluiceError(
    'SLUICE_DUPLICATE_HANDLER',
    `queue '${queue}' has two handlers in group '${group}': ${first} and ${second}. ` +
      'Each task goes to one of a group: keep one handler, give the other a queue of its own, or a group of its ' +
      'own if both shall get every task',
  );
}

/** @throws SluiceError `SLUICE_BAD_OPTION` for options that a handler of batches cannot have */
function refuseWithBatch(site: string, queue: string, options: ResolvedHandlerOptions): void {
  const { batch, enhancers, fleet, rateLimit } = options;
  if (batch === undefined) return;
  const refuse = (what: string, why: string): never => {
    throw new SluiceError(
      'SLUICE_BAD_OPTION',
      `@TaskHandler('${queue}') on ${site} has batch and ${what}: ${why}, or leave batch out`,
    );
  };
  if (enhancers) {
    const why =
      "Nest's guards, interceptors, pipes and filters are for one task. Set enhancers: false for this handler";
    refuse('enhancers', why);
  }
  if (fleet !== undefined)
    refuse('concurrency.fleet', 'the fleet counts tasks, and a batch takes one place. Leave fleet out');
  if (rateLimit)
    refuse('rateLimit', 'a batch would wait for as many starts at once. Set rateLimit: false for this handler');
}

function quoted(queues: readonly string[]): string {
  return [...new Set(queues)].map((queue) => `'${queue}'`).join(', ');
}
