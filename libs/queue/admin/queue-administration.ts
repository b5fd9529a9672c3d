import type { Link, RedisConnections } from '../../redis/index.js';
import { resolveOptions, text } from '../../weave/index.js';
import {
  asQueueOfTasks,
  definitionsOf,
  oneQueue,
  taggedName,
  type QueueOfTasks,
  type TaskSpecs,
} from '../named-tasks.js';
import { FreedKeys } from '../ordering/freed-keys.js';
import { refuseSchedules } from '../ordering/ordering.options.js';
import { queueSchema, type QueueDefinition, type QueueRef } from '../queue-definition.js';
import type { HandlerRegistry } from '../handlers/handler.registry.js';
import type { QueueTally, QueueStats } from '../observe/queue.stats.js';
import type { ResolvedQueueOptions } from '../queue.options.js';
import { TaskSchedules } from '../schedules/task-schedules.js';
import { namesKeys, type QueueKeys } from '../store/queue.keys.js';
import type { Counts } from '../store/scripts/counts.script.js';
import { namesScript } from '../store/scripts/names.script.js';
import type { LocalPauses } from '../worker/control/local-pauses.js';
import { DeadLetters } from './dead-letters.js';
import { stillBusy, withinLimits, type WaitLimits } from './limited-wait.js';
import { LevelsOfQueue, type PlaceOperations } from './levels-of-queue.js';
import { checkPauseOptions, checkResumeOptions, type PauseOptions, type ResumeOptions } from './pause.options.js';
import { PauseSwitch, type PauseResult } from './pause-switch.js';
import { QueueGroups } from './queue-groups.js';
import { checkPurgeState, QueuePurge, type PurgeState } from './queue-purge.js';
import { QueueOperations, type GroupChoice, type ListOptions, type TaskPage } from './queue.operations.js';
import { checkTaskRef, type TaskInfo, type TaskRef } from './task-info.js';
import { TaskSearch, type CancelOutcome } from './task-search.js';
import { WholeQueue, type CountsOfTasks, type DeadLettersOfTasks } from './whole-queue.js';
import type { QueueWorker } from './worker-info.js';

export interface QueueAdministrationParts {
  connections: RedisConnections;
  settings: ResolvedQueueOptions;
  registry: HandlerRegistry;
  tally: QueueTally;
  localPauses: LocalPauses;
  /** A task of the queue is due in `delayMs`. */
  onDelayed: (queue: string, keys: QueueKeys, delayMs: number) => void;
}

/** What can be seen of queues and done about them, beside publishing and handling. */
export abstract class QueueAdministration {
  readonly #connections: RedisConnections;
  readonly #link: Link;
  readonly #operations: QueueOperations;
  readonly #pauseSwitch: PauseSwitch;
  readonly #localPauses: LocalPauses;
  readonly #search: TaskSearch;
  readonly #purge: QueuePurge;
  protected readonly whole: WholeQueue;
  readonly #onPlaces: PlaceOperations;
  readonly #settings: ResolvedQueueOptions;
  readonly #registry: HandlerRegistry;
  readonly #tally: QueueTally;

  constructor({ connections, settings, registry, tally, localPauses, onDelayed }: QueueAdministrationParts) {
    const { keyspace, clock } = connections;
    const connection = connections.get(settings.connection);
    const { leaseMs } = settings;
    this.#connections = connections;
    this.#settings = settings;
    this.#registry = registry;
    this.#tally = tally;
    this.#localPauses = localPauses;
    this.#link = connection.commands;
    this.#operations = new QueueOperations(connection, keyspace, (queue) => registry.groupOf(queue));
    const streamsBeside = (queue: string): Promise<string[]> => this.#operations.streamsBeside(queue);
    this.#pauseSwitch = new PauseSwitch({ connection, keyspace, clock, leaseMs, streamsBeside });
    const inboxes = connection.inbox.prefix;
    const freedKeys = new FreedKeys({ link: this.#link, keyspace, inboxes });
    this.#search = new TaskSearch({ link: this.#link, keyspace, inboxes, onDelayed, freedKeys });
    this.#purge = new QueuePurge(this.#link, keyspace, freedKeys);
    const { search, operations, purge } = { search: this.#search, operations: this.#operations, purge: this.#purge };
    this.#onPlaces = {
      counts: (place, choice) => operations.counts(place, choice),
      list: (place, options) => operations.list(place, options),
      inspect: (place, id, group) => search.inspect(place, id, group),
      remove: (place, id, group) => search.remove(place, id, group),
      runNow: (place, id, group) => search.runNow(place, id, group),
      cancel: (place, id, group) => search.cancel(place, id, group),
      purge: (place, state, group) => purge.purge(place, state, group),
      dead: (place) => new DeadLetters(this.#link, clock, keyspace, place, freedKeys),
    };
    this.whole = new WholeQueue(this, (queue, later) => this.#names(queue, later));
  }

  /**
   * How many tasks of a queue wait, are with workers, are due later, or are dead letters, at one instant; how long the
   * oldest task has waited; and whether the queue is paused.
   *
   * `running` counts the tasks that workers have, including prefetched ones. A queue of named tasks has the counts of all its names
   * together, and in `tasks` those of each; each name is counted at an instant of its own.
   */
  counts<Specs extends TaskSpecs>(
    queue: QueueOfTasks<Specs>,
    choice?: GroupChoice,
  ): Promise<CountsOfTasks<keyof Specs & string>>;
  counts(queue: QueueRef<unknown>, choice?: GroupChoice): Promise<Counts>;
  async counts(queue: QueueRef<unknown> | QueueOfTasks, choice: GroupChoice = {}): Promise<Counts> {
    const whole = asQueueOfTasks(queue);
    return whole ? this.whole.counts(whole, choice) : this.#levels(queue).counts(oneQueue(queue, 'counts'), choice);
  }

  /**
   * A page of a queue's tasks of one state: `'waiting'` (default), `'running'`, `'delayed'`, `'dead'`. Of a queue of named tasks: one
   * name after the other, and each task has its `name`.
   *
   * @throws SluiceError `SLUICE_BAD_OPTION`
   * @example
   * for (let after: string | undefined; ; ) {
   *   const { tasks, next } = await queue.list(Orders, { state: 'delayed', ...(after && { after }) });
   *   show(tasks);
   *   if (next === undefined) break;
   *   after = next;
   * }
   */
  async list(queue: QueueRef<unknown> | QueueOfTasks, options: ListOptions = {}): Promise<TaskPage> {
    const whole = asQueueOfTasks(queue);
    return whole ? this.whole.list(whole, options) : this.#levels(queue).list(oneQueue(queue, 'list'), options);
  }

  /**
   * Finds a task by the id that `publish` returned, or by the `{ key }` of `publishUnique` and `collect`. Resolves to undefined if the task is done, or never existed.
   *
   * It is one script on Redis. Its cost does not grow with the queue or with its dead letters. If several groups read the queue,
   * the answer is for one group: a task that this group has settled is done.
   *
   * @example
   * const task = await queue.inspect(Orders, id);
   * return task === undefined ? 'done' : task.state;
   */
  async inspect(queue: QueueRef<unknown>, task: TaskRef, choice: GroupChoice = {}): Promise<TaskInfo | undefined> {
    const name = oneQueue(queue, 'inspect');
    const group = this.#groupOf(name, choice, 'inspect');
    const id = await this.#search.idOf(name, checkTaskRef(task, 'inspect'));
    return id === undefined ? undefined : this.#levels(queue).inspect(name, id, group);
  }

  /**
   * Removes a task from the queue, wherever it waits: the task never runs (again). Resolves to whether it was removed.
   *
   * Resolves to false if the task is not there, or is with a worker: a running task is not stopped. Call `pause` first, so that
   * workers return the tasks that they did not start.
   */
  async remove(queue: QueueRef<unknown>, task: TaskRef, choice: GroupChoice = {}): Promise<boolean> {
    const name = oneQueue(queue, 'remove');
    const group = this.#groupOf(name, choice, 'remove');
    const id = await this.#search.idOf(name, checkTaskRef(task, 'remove'));
    return id !== undefined && this.#levels(queue).remove(name, id, group);
  }

  /**
   * Removes all tasks of one state: `'waiting'`, `'delayed'` or `'dead'`; with `'completed'` or `'failed'`, the records of the history.
   * Resolves to how many were removed. Running tasks are never touched: see `cancel`. Of a queue of named tasks: those of all names.
   *
   * It works in short steps, so the server serves others meanwhile. Tasks that are published during the call may stay. If it is
   * interrupted, a part is removed: call it again. With several groups, `'waiting'` and `'delayed'` are those of one group, as `list`
   * shows them; a task that waits for several groups is removed for all of them, and stays while a worker of another group has it.
   *
   * @throws SluiceError `SLUICE_BAD_OPTION`, `SLUICE_QUEUE_NO_GROUP`, `SLUICE_NEWER_DATA`
   * @example
   * await queue.pause(Mails, { wait: true });
   * await queue.purge(Mails, 'waiting');
   */
  async purge(queue: QueueRef<unknown> | QueueOfTasks, state: PurgeState, choice: GroupChoice = {}): Promise<number> {
    const checkedState = checkPurgeState(state);
    const whole = asQueueOfTasks(queue);
    if (whole) return this.whole.purge(whole, checkedState, choice);
    const name = oneQueue(queue, 'purge');
    return this.#levels(queue).purge(name, checkedState, this.#groupOf(name, choice, 'purge'));
  }

  /**
   * Makes a delayed task due at once: one that was published with a delay, or that waits for its retry. Resolves to false if no such
   * task is delayed, as when it waits already, runs or is done.
   *
   * It then runs as soon as a worker has room, behind what waits already, and not while the queue is paused.
   *
   * @throws SluiceError `SLUICE_BAD_OPTION`, `SLUICE_NEWER_DATA`
   * @example
   * await queue.runNow(Orders, id);
   */
  async runNow(queue: QueueRef<unknown>, task: TaskRef, choice: GroupChoice = {}): Promise<boolean> {
    const name = oneQueue(queue, 'runNow');
    const group = this.#groupOf(name, choice, 'runNow');
    const id = await this.#search.idOf(name, checkTaskRef(task, 'runNow'));
    return id !== undefined && this.#levels(queue).runNow(name, id, group);
  }

  /**
   * Cancels a task, wherever it is: by its id, or by the `{ key }` under which it was published.
   *
   * - `'removed'`: it waited or was delayed. It never runs (again).
   * - `'aborting'`: a worker has it. Its `signal` aborts with a `TaskCancelledError`, in whichever process it runs: at once, or with the
   *   next renewal of that process' lease if the message is lost. If the handler then throws, the task is dropped: no retry, no
   *   dead letter. If it succeeds, the task is completed. If the process dies, the task is not run again.
   * - `'not-found'`: it is done, is a dead letter, or never existed.
   *
   * A handler that ignores its signal runs to its end. With several groups it is for one of them, but a task that has not begun in
   * any group is removed for all. A consumer of other software does not hear of it, nor does a process of a release without `cancel`.
   *
   * @throws SluiceError `SLUICE_BAD_OPTION`, `SLUICE_NEWER_DATA`
   * @example
   * if ((await queue.cancel(Exports, id)) === 'not-found') throw new NotFoundException();
   */
  async cancel(queue: QueueRef<unknown>, task: TaskRef, choice: GroupChoice = {}): Promise<CancelOutcome> {
    const name = oneQueue(queue, 'cancel');
    const group = this.#groupOf(name, choice, 'cancel');
    const id = await this.#search.idOf(name, checkTaskRef(task, 'cancel'));
    return id === undefined ? 'not-found' : this.#levels(queue).cancel(name, id, group);
  }

  /**
   * Stops all work on a queue, in every process, until `resume`, also through restarts. Publishing goes on.
   *
   * Resolves once every living process that works on the queue has confirmed: then no task that is published later starts before
   * `resume`. The call waits for at most a third of a lease, and names in `unconfirmed` the processes that did not answer.
   * Running tasks finish. Prefetched tasks that did not start are returned, and count as waiting. A pause of a queue of named tasks is
   * a pause of each name, also of names that a later release adds before `resume`.
   *
   * With `wait`, it resolves when nothing of the queue runs any more. With `here`, only this process stops its work: other processes
   * go on, also with the tasks that this one returns. The queue does not count as paused, and the next start of the process works.
   *
   * @throws SluiceError `SLUICE_BAD_OPTION`; with `wait`: `SLUICE_QUEUE_BUSY` after `timeoutMs`, or if the queue is resumed meanwhile,
   * and the reason of `signal`. The queue stays paused.
   * @example
   * const { unconfirmed } = await queue.pause(Orders);
   * if (unconfirmed.length > 0) logger.warn(`still to hear of it: ${unconfirmed.join(', ')}`);
   * await queue.pause(Orders, { wait: true, timeoutMs: 60_000 }); // before a migration, for example
   * await queue.pause(Orders, { here: true, wait: true });
   */
  async pause(queue: QueueRef<unknown> | QueueOfTasks, options?: PauseOptions): Promise<PauseResult> {
    const { wait, here, ...limits } = checkPauseOptions(options);
    const whole = asQueueOfTasks(queue);
    if (here)
      return this.#pauseHere(
        whole ? definitionsOf(whole).map(({ name }) => name) : [oneQueue(queue, 'pause')],
        wait,
        limits,
      );
    if (whole) return this.whole.pause(whole, wait ? { wait, ...limits } : undefined);
    const name = oneQueue(queue, 'pause');
    if (!wait) return this.#pauseSwitch.pause(name);
    return this.#pauseSwitch.pauseAndWait(name, limits);
  }

  /**
   * Ends a `pause`. Resolves to whether the queue was paused. Of a queue of named tasks, all names are resumed, also those that were
   * paused alone. With `here`, it ends a pause of this process alone; without, such a pause stays.
   */
  async resume(queue: QueueRef<unknown> | QueueOfTasks, options?: ResumeOptions): Promise<boolean> {
    const { here } = checkResumeOptions(options);
    const whole = asQueueOfTasks(queue);
    if (here) {
      const names = whole ? definitionsOf(whole).map(({ name }) => name) : [oneQueue(queue, 'resume')];
      return names.map((name) => this.#localPauses.set(name, false)).includes(true);
    }
    return whole ? this.whole.resume(whole) : this.#pauseSwitch.resume(oneQueue(queue, 'resume'));
  }

  /** The processes that work on a queue now. A process that was killed is included until its lease has ended. */
  async workers(queue: QueueRef<unknown> | QueueOfTasks): Promise<QueueWorker[]> {
    const whole = asQueueOfTasks(queue);
    if (whole) return this.whole.workers(whole);
    const name = oneQueue(queue, 'workers');
    return this.#operations.workers(name);
  }

  /** The consumer groups of a queue: lists them, and deletes those for which no process reads any more. */
  groups(queue: QueueRef<unknown>): QueueGroups {
    const name = oneQueue(queue, 'groups');
    return new QueueGroups(this.#link, this.#connections.keyspace, name);
  }

  /**
   * What this process has noticed about its queues since it started. Sends no command to Redis.
   *
   * @example
   * const { unreadGroups } = queue.stats();
   * if (unreadGroups > 0) alert(`${unreadGroups} groups have tasks, and nobody reads them`);
   */
  stats(): QueueStats {
    return this.#tally.stats();
  }

  /** A queue's dead letters, or those of all its named tasks: lists them, brings them back into the queue, and deletes them. */
  dead(queue: QueueOfTasks): DeadLettersOfTasks;
  dead<T = unknown>(queue: QueueRef<T>): DeadLetters<T>;
  dead(queue: QueueRef<unknown> | QueueOfTasks): DeadLettersOfTasks {
    const whole = asQueueOfTasks(queue);
    return whole ? this.whole.dead(whole) : this.#levels(queue).dead(oneQueue(queue, 'dead'));
  }

  /** The operations on one queue: on its levels of priority, if it has some. */
  #levels(queue: QueueRef<unknown> | QueueOfTasks): LevelsOfQueue {
    return new LevelsOfQueue(
      this.#onPlaces,
      (name) => this.#registry.sharesOf(queue as QueueRef<unknown>, name) !== undefined,
    );
  }

  #names(queue: string, later?: 'paused' | 'resumed'): Promise<readonly string[]> {
    const keys = namesKeys(this.#connections.keyspace, taggedName(queue));
    return namesScript.run(this.#link, { keys: { ...keys }, args: { later: later ? LATER[later] : -1 } });
  }

  /**
   * A queue's schedules: lists them, adds, pauses and removes them while the app runs. Schedules that the code knows are better
   * declared by `@TaskSchedule`.
   */
  schedules<T>(queue: QueueDefinition<T, unknown>): TaskSchedules<T>;
  schedules(stream: string): TaskSchedules;
  schedules(queue: QueueRef<unknown>): TaskSchedules {
    refuseSchedules(queue);
    const { keyspace } = this.#connections;
    const { maxPayloadBytes, connection } = this.#settings;
    const { prefix: inboxes } = this.#connections.get(connection).inbox;
    const given = { link: this.#link, keyspace, inboxes, maxPayloadBytes, queue: oneQueue(queue, 'schedules') };
    return new TaskSchedules({ ...given, schema: queueSchema(queue) });
  }

  async #pauseHere(queues: readonly string[], wait: boolean, limits: WaitLimits): Promise<PauseResult> {
    const changed = queues.map((queue) => this.#localPauses.set(queue, true)).includes(true);
    const late = (): Error =>
      stillBusy(queues.join(', '), `after ${limits.timeoutMs} ms, this process still runs tasks`);
    const idle = (): Promise<unknown> => Promise.all(queues.map((queue) => this.#localPauses.idle(queue)));
    if (wait) await withinLimits(this.#connections.clock, limits, late, idle);
    return { changed, unconfirmed: [] };
  }

  #groupOf(queue: string, choice: GroupChoice, operation: string): string {
    return resolveOptions<GroupChoice>(operation, choice, { group: text() }).group ?? this.#registry.groupOf(queue);
  }
}

const LATER = { paused: 1, resumed: 0 } as const;
