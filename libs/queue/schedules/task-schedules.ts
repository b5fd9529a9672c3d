import { randomBytes } from 'node:crypto';
import { isUnavailable, type Keyspace, type Link } from '../../redis/index.js';
import { SluiceError, clip } from '../../weave/index.js';
import { PublishUnconfirmedError } from '../queue.errors.js';
import { lastInstantKey, queueKeys, scheduleKeys, type QueueKeys } from '../store/queue.keys.js';
import { listSchedulesScript, type ListedSchedule } from '../store/scripts/list-schedules.script.js';
import { runScheduleScript } from '../store/scripts/run-schedule.script.js';
import { switchScheduleScript, type Switched } from '../store/scripts/switch-schedule.script.js';
import { encodePayload } from '../task/payload.js';
import { checked, type StandardSchema } from '../task/standard-schema.js';
import { declareSchedules } from './declare.js';
import type { MissedInstants, ScheduleOptions, ScheduleSpec } from './schedule.js';
import { checkScheduleId, resolveSchedule, scheduleOf, storedSchedule } from './schedule.options.js';

/** A schedule as it is stored. */
export interface ScheduleInfo<T = unknown> {
  readonly id: string;
  /** Undefined: a newer release or other software wrote it, and this release cannot read it. */
  readonly spec: ScheduleSpec | undefined;
  readonly timeZone: string;
  readonly missed: MissedInstants;
  readonly jitterMs: number;
  /** Undefined if other software wrote it, and it is no JSON. */
  readonly payload: T;
  /** The next instant. Its task is published up to `jitterMs` later. In the past for a schedule that is paused or behind. */
  readonly next: Date;
  /** The last instant of which a task was published. */
  readonly last: Date | undefined;
  readonly paused: boolean;
  /** The process that declared it by `@TaskSchedule`, as `workers()` names it; undefined: it was added by `upsert`. */
  readonly declaredBy: string | undefined;
  /** Whether the process that declared it is dead. If no other process declares it, the schedule is an orphan. */
  readonly orphaned: boolean;
}

export interface TaskSchedulesOptions {
  link: Link;
  keyspace: Keyspace;
  queue: string;
  schema: StandardSchema | undefined;
  /** The prefix of the names of inboxes. */
  inboxes: string;
  maxPayloadBytes: number;
}

/** How many schedules one call lists. */
const PAGE = 50;

/**
 * The schedules of one queue. Those of `@TaskSchedule` are declared by the code: they can be paused here, not changed or removed.
 *
 * @see docs/internals/queue.md#schedules
 */
export class TaskSchedules<T = unknown> {
  readonly #options: TaskSchedulesOptions;
  readonly #keys: QueueKeys;

  constructor(options: TaskSchedulesOptions) {
    this.#options = options;
    this.#keys = queueKeys(options.keyspace, options.queue);
  }

  /**
   * Adds a schedule, or replaces the one with this id. Resolves to whether something changed: an equal one is left as it is, so
   * any number of processes may call this at every boot. Of two different ones, the last stands.
   *
   * The tasks are published by processes that work on the queue. A replaced schedule that is paused stays paused, and no instant
   * up to the last published one is published again.
   *
   * @throws SluiceError `SLUICE_BAD_OPTION`, `SLUICE_QUEUE_UNSERIALIZABLE`, `SLUICE_QUEUE_PAYLOAD_TOO_LARGE`,
   * `SLUICE_QUEUE_INVALID_PAYLOAD`, `SLUICE_SCHEDULE_DECLARED`, `SLUICE_REDIS_UNAVAILABLE` (call it again)
   * @example
   * await queue.schedules(Digests).upsert(`digest-${user.id}`, '0 7 * * 1', { user: user.id }, { timeZone: user.timeZone });
   */
  async upsert(id: string, spec: ScheduleSpec, payload: NoInfer<T>, options?: ScheduleOptions): Promise<boolean> {
    const { queue, schema, maxPayloadBytes } = this.#options;
    const schedule = resolveSchedule('schedules().upsert', id, spec, options);
    const text = encodePayload(payload, 'payload', maxPayloadBytes);
    if (schema) await checked(schema, payload, { queue, root: 'payload', at: 'publish' });
    const stored = storedSchedule(schedule, text);
    const { declared } = await declareSchedules({ ...this.#options, keys: this.#keys, consumer: undefined }, [stored]);
    if (declared[0]?.state === 'declared') throw isDeclared(queue, id, 'changed');
    return declared[0]?.state === 'written';
  }

  /** All schedules of the queue, the next due first. */
  async list(): Promise<ScheduleInfo<T>[]> {
    const { link, keyspace } = this.#options;
    const found = new Map<string, ListedSchedule>();
    const keys = { ...this.#keys, ...scheduleKeys(keyspace, this.#keys) };
    let cursor = '0';
    do {
      const page = await listSchedulesScript.run(link, { keys, args: { cursor, count: PAGE } });
      for (const each of page.schedules) found.set(each.id, each);
      cursor = page.cursor;
    } while (cursor !== '0');
    return [...found.values()].sort((a, b) => a.dueMs - b.dueMs).map((each) => infoOf<T>(each));
  }

  /** Stops a schedule until `resume`, also through restarts and deploys. Resolves to whether something changed. */
  async pause(id: string): Promise<boolean> {
    return (await this.#switch('pause', id)) === 'done';
  }

  /** Ends a `pause`. The instants of the pause count as missed. Resolves to whether something changed. */
  async resume(id: string): Promise<boolean> {
    return (await this.#switch('resume', id)) === 'done';
  }

  /**
   * Removes a schedule that was added by `upsert`, or that no process declares any more. Tasks that it has published stay. Resolves
   * to whether there was one.
   *
   * @throws SluiceError `SLUICE_SCHEDULE_DECLARED`
   */
  async remove(id: string): Promise<boolean> {
    const switched = await this.#switch('remove', id);
    if (switched === 'declared') throw isDeclared(this.#options.queue, id, 'removed');
    return switched === 'done';
  }

  /**
   * Publishes a task of the schedule now, also if it is paused. Its instants do not change. Resolves with the task's id; undefined:
   * there is no such schedule.
   *
   * @throws SluiceError `SLUICE_PUBLISH_UNCONFIRMED`, `SLUICE_REDIS_UNAVAILABLE`
   */
  async runNow(id: string): Promise<string | undefined> {
    const { link, keyspace, queue } = this.#options;
    const task = `${checkScheduleId(id, 'schedules().runNow: id')}@now.${randomBytes(9).toString('base64url')}`;
    const keys = { ...this.#keys, ...scheduleKeys(keyspace, this.#keys) };
    try {
      return (await runScheduleScript.run(link, { keys, args: { id, task } })) ? task : undefined;
    } catch (error) {
      if (!isUnavailable(error) || error.outcome !== 'unknown') throw error;
      throw new PublishUnconfirmedError(queue, [{ state: 'unknown' }], { cause: error });
    }
  }

  #switch(action: 'pause' | 'resume' | 'remove', id: string): Promise<Switched> {
    const { link, keyspace, inboxes } = this.#options;
    checkScheduleId(id, `schedules().${action}: id`);
    const removed = lastInstantKey(keyspace, this.#keys, id);
    const keys = { ...this.#keys, ...scheduleKeys(keyspace, this.#keys), removed };
    return switchScheduleScript.run(link, { keys, args: { action, id, inboxes } });
  }
}

function infoOf<T>({ id, nextMs, lastMs, paused, by, lives, spec, payload }: ListedSchedule): ScheduleInfo<T> {
  const schedule = scheduleOf(id, spec);
  const { cron, everyMs = 0, timeZone = 'UTC', missed = 'skip', jitterMs = 0 } = schedule ?? {};
  return {
    ...{ id, timeZone, missed, jitterMs, paused },
    spec: schedule && (cron ?? { everyMs }),
    payload: parsed(payload) as T,
    next: new Date(nextMs),
    last: lastMs === 0 ? undefined : new Date(lastMs),
    declaredBy: by === '-' ? undefined : by,
    orphaned: by !== '-' && !lives,
  };
}

/** Other software may have written anything. */
function parsed(payload: string): unknown {
  try {
    return JSON.parse(payload) as unknown;
  } catch {
    return undefined;
  }
}

function isDeclared(queue: string, id: string, what: string): SluiceError {
  return new SluiceError(
    'SLUICE_SCHEDULE_DECLARED',
    `schedule '${clip(id)}' of queue '${queue}' cannot be ${what}: a @TaskSchedule of a running process declares it. ` +
      'Change the code, or pause the schedule',
  );
}
