import type { Observable } from 'rxjs';
import type { Clock } from '../../redis/index.js';
import type {
  AckWrite,
  CancelOutcome,
  CountsOfTasks,
  DeadLetters,
  DeadLettersOfTasks,
  GroupChoice,
  HistoryPage,
  HistoryPageOptions,
  ListOptions,
  PauseOptions,
  PauseResult,
  PurgeState,
  QueueCounts,
  QueueEvent,
  QueueGroups,
  QueueOfTasks,
  QueueRef,
  QueueStats,
  QueueWorker,
  ResumeOptions,
  TaskInfo,
  TaskPage,
  TaskRef,
  TaskSpecs,
} from '../../queue/index.js';
import { stillBusy, withinLimits } from '../../queue/admin/limited-wait.js';
import { checkPauseOptions, checkResumeOptions } from '../../queue/admin/pause.options.js';
import { checkPurgeState } from '../../queue/admin/queue-purge.js';
import { checkPageOptions } from '../../queue/history/history-pages.js';
import { checkTaskRef } from '../../queue/admin/task-info.js';
import { WholeQueue } from '../../queue/admin/whole-queue.js';
import type { HandlerRegistry } from '../../queue/handlers/handler.registry.js';
import { asQueueOfTasks, oneQueue } from '../../queue/named-tasks.js';
import { TestingNotes } from './outcomes/testing-notes.js';
import { testingGroups } from './testing-groups.js';
import type { TestingKeys } from './testing-keys.js';
import { streamsOf, type TestingTasks, type Waiting } from './testing-tasks.js';

export interface TestingAdministrationParts {
  tasks: TestingTasks;
  keys: TestingKeys;
  registry: HandlerRegistry;
  clock: Clock;
}

/** What can be seen of the queues of a test and done about them, beside publishing and handling. */
export abstract class TestingAdministration {
  protected readonly tasks: TestingTasks;
  protected readonly registry: HandlerRegistry;
  protected readonly clock: Clock;
  protected readonly notes: TestingNotes;
  protected readonly whole = new WholeQueue(this, () => Promise.resolve([]));
  readonly #keys: TestingKeys;
  readonly #paused = new Set<string>();
  readonly #pausedHere = new Set<string>();

  constructor({ tasks, keys, registry, clock }: TestingAdministrationParts) {
    this.tasks = tasks;
    this.#keys = keys;
    this.registry = registry;
    this.clock = clock;
    this.notes = new TestingNotes(tasks);
  }

  /** The writes that `task.onAck` noted and that went with the acknowledgement of their task, in order. Nothing checks what their keys hold. */
  get written(): readonly AckWrite[] {
    return this.notes.written;
  }

  abstract dead(queue: QueueOfTasks): DeadLettersOfTasks;
  abstract dead<T = unknown>(queue: QueueRef<T>): DeadLetters<T>;

  counts<Specs extends TaskSpecs>(
    queue: QueueOfTasks<Specs>,
    choice?: GroupChoice,
  ): Promise<CountsOfTasks<keyof Specs & string>>;
  counts(queue: QueueRef<unknown>, choice?: GroupChoice): Promise<QueueCounts>;
  counts(queue: QueueRef<unknown> | QueueOfTasks): Promise<QueueCounts> {
    const whole = asQueueOfTasks(queue);
    if (whole) return this.whole.counts(whole, {});
    const name = oneQueue(queue, 'counts');
    const all = this.tasks.waiting.filter((each) => each.queue === name);
    const waiting = all.filter((each) => this.tasks.isDue(each));
    const oldest = waiting.reduce((at, { publishedAt }) => Math.min(at, publishedAt.getTime()), Infinity);
    return Promise.resolve({
      waiting: waiting.length,
      running: 0,
      delayed: all.length - waiting.length,
      dead: this.tasks.letters(name).length,
      oldestWaitingMs: waiting.length === 0 ? null : Math.max(0, this.tasks.nowMs() - oldest),
      paused: this.#paused.has(name),
    });
  }

  list(queue: QueueRef<unknown> | QueueOfTasks, options: ListOptions = {}): Promise<TaskPage> {
    const whole = asQueueOfTasks(queue);
    if (whole) return this.whole.list(whole, options);
    const { state = 'waiting', limit = 100, after } = options;
    const all = this.tasks.infos(oneQueue(queue, 'list')).filter((task) => task.state === state);
    const from = all.findIndex(({ id }) => id === after) + 1;
    const tasks = all.slice(from, from + limit);
    return Promise.resolve({ tasks, next: from + limit < all.length ? tasks.at(-1)?.id : undefined });
  }

  async inspect(queue: QueueRef<unknown>, task: TaskRef): Promise<TaskInfo | undefined> {
    const known = this.#keys.idOf(oneQueue(queue, 'inspect'), checkTaskRef(task, 'inspect'));
    return Promise.resolve(this.tasks.infos(oneQueue(queue, 'inspect')).find((task) => task.id === known));
  }

  async remove(queue: QueueRef<unknown>, task: TaskRef): Promise<boolean> {
    const name = oneQueue(queue, 'remove');
    const id = this.#keys.idOf(name, checkTaskRef(task, 'remove'));
    const removed = this.tasks.drop((each) => each.queue === name && each.id === id);
    return removed > 0 || (await this.dead(name).purge({ filter: (letter) => letter.id === id })) === 1;
  }

  async purge(queue: QueueRef<unknown> | QueueOfTasks, state: PurgeState, choice: GroupChoice = {}): Promise<number> {
    const checkedState = checkPurgeState(state);
    const whole = asQueueOfTasks(queue);
    if (whole) return this.whole.purge(whole, checkedState, choice);
    const name = oneQueue(queue, 'purge');
    if (checkedState === 'dead') return this.dead(name).purge();
    if (checkedState === 'completed' || checkedState === 'failed') return this.tasks.history.purge(name, checkedState);
    return this.tasks.drop((each) => each.queue === name && this.tasks.isDue(each) === (checkedState === 'waiting'));
  }

  /** What the handlers that `drain` ran have recorded. */
  history(queue: QueueOfTasks, options?: HistoryPageOptions): Promise<HistoryPage>;
  history<T = unknown>(queue: QueueRef<T>, options?: HistoryPageOptions): Promise<HistoryPage<T>>;
  async history(queue: QueueRef<unknown> | QueueOfTasks, options?: HistoryPageOptions): Promise<HistoryPage> {
    const page = checkPageOptions(options);
    const whole = asQueueOfTasks(queue);
    if (!whole) return this.tasks.history.page(oneQueue(queue, 'history'), page);
    return this.whole.history(whole, page, (name, each) => Promise.resolve(this.tasks.history.page(name, each)));
  }

  /** What happens in a queue while `drain` runs its tasks, at once. `TestingQueue` tells every event, and none is missed. */
  events(queue: QueueRef<unknown> | QueueOfTasks): Observable<QueueEvent> {
    return this.tasks.events.of(streamsOf(queue, 'events'));
  }

  /** A task that `drain` runs at the moment is aborted: its `signal` tells, and it is dropped if it throws. */
  cancel(queue: QueueRef<unknown>, task: TaskRef): Promise<CancelOutcome> {
    const name = oneQueue(queue, 'cancel');
    const id = this.#keys.idOf(name, checkTaskRef(task, 'cancel'));
    const removed = this.tasks.drop((each) => each.queue === name && each.id === id);
    if (id !== undefined && this.tasks.abort(name, id)) return Promise.resolve('aborting');
    return Promise.resolve(removed > 0 ? 'removed' : 'not-found');
  }

  runNow(queue: QueueRef<unknown>, task: TaskRef): Promise<boolean> {
    const name = oneQueue(queue, 'runNow');
    const id = this.#keys.idOf(name, checkTaskRef(task, 'runNow'));
    const at = this.tasks.waiting.findIndex((each) => each.queue === name && each.id === id && !this.tasks.isDue(each));
    const found = this.tasks.waiting[at];
    if (found) this.tasks.waiting.splice(at, 1, { ...found, dueMs: this.tasks.nowMs() });
    return Promise.resolve(found !== undefined);
  }

  /** `drain` runs no task of a paused queue. With `wait`, a task that `drain` runs at the moment is waited for. */
  async pause(queue: QueueRef<unknown> | QueueOfTasks, options?: PauseOptions): Promise<PauseResult> {
    const { wait, here, ...limits } = checkPauseOptions(options);
    const names = streamsOf(queue, 'pause');
    const paused = this.#pausesOf(here);
    const changed = names.some((name) => !paused.has(name));
    for (const name of names) paused.add(name);
    const late = (): Error => stillBusy(names.join(', '), `after ${limits.timeoutMs} ms, a task still runs`);
    if (wait) await withinLimits(this.clock, limits, late, () => this.tasks.idle(names));
    return { changed, unconfirmed: [] };
  }

  resume(queue: QueueRef<unknown> | QueueOfTasks, options?: ResumeOptions): Promise<boolean> {
    const { here } = checkResumeOptions(options);
    const names = streamsOf(queue, 'resume');
    return Promise.resolve(names.map((name) => this.#pausesOf(here).delete(name)).includes(true));
  }

  /** The groups of the app's handlers. None of them can be dropped. */
  groups(queue: QueueRef<unknown>): QueueGroups {
    const name = oneQueue(queue, 'groups');
    const waitingOf = (group: string): number =>
      this.tasks.waiting.filter(
        (each) => each.queue === name && this.tasks.isDue(each) && (each.group ?? group) === group,
      ).length;
    return testingGroups(name, this.registry.groupsOf(name), waitingOf);
  }

  /** All counts but that of cancelled tasks are always 0: all groups of a test are groups of its handlers. */
  stats(): QueueStats {
    return { unreadGroups: 0, unreadReports: 0, leftAlone: 0, leftAloneReports: 0, cancelled: this.tasks.cancelled };
  }

  /** Always empty: no task runs by itself. */
  workers(): Promise<QueueWorker[]> {
    return Promise.resolve([]);
  }

  /** Whether `drain` may run a task. */
  protected mayRun(task: Waiting): boolean {
    const mayBegin = this.tasks.isDue(task) && !this.#paused.has(task.queue) && !this.#pausedHere.has(task.queue);
    return mayBegin && !this.tasks.order.waits(task, this.tasks, this.registry);
  }

  /** A test is one process, so its pauses differ only in what ends them. */
  #pausesOf(here: boolean): Set<string> {
    return here ? this.#pausedHere : this.#paused;
  }
}
