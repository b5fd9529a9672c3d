import type { Redis } from 'ioredis';
import { Keyspace, type Link } from '../../libs/redis/index.js';
import { resolveSchedule, storedSchedule } from '../../libs/queue/schedules/schedule.options.js';
import type { ScheduleOptions, ScheduleSpec, StoredSchedule } from '../../libs/queue/schedules/schedule.js';
import { LATE_MS } from '../../libs/queue/schedules/due-plan.js';
import { lastInstantKey, queueKeys, scheduleKeys } from '../../libs/queue/store/queue.keys.js';
import { declareSchedulesScript, type DeclaredAll } from '../../libs/queue/store/scripts/declare-schedules.script.js';
import { fireSchedulesScript, type Fired } from '../../libs/queue/store/scripts/fire-schedules.script.js';

const INBOXES = ':~inbox:0:';
const keyspace = new Keyspace();

/** One schedule of a call of `queue:fire-schedules`. */
export interface Fire {
  readonly id?: string;
  readonly fingerprint: string;
  readonly nextMs: number;
  readonly followingMs: number;
  readonly instants: readonly number[];
  readonly untilMs?: number;
  readonly behind?: number;
}

/** The state of a schedule, as it is stored. */
export interface State {
  readonly nextMs: number;
  readonly dueMs: number;
  readonly lastMs: number;
  readonly paused: boolean;
  readonly by: string;
  readonly orphanedMs: number;
}

export function stored(id: string, spec: ScheduleSpec, payload = '1', options?: ScheduleOptions): StoredSchedule {
  return storedSchedule(resolveSchedule('bed', id, spec, options), payload);
}

/** The scripts of schedules, by themselves, beside the queue `tasks`. */
export class ScheduleBed {
  readonly queue = queueKeys(keyspace, 'tasks');
  readonly keys = { ...this.queue, ...scheduleKeys(keyspace, this.queue) };

  constructor(readonly bed: { admin: Redis; link: Link }) {}

  /** Declares schedules. `firstMs` 0: only looks. */
  readonly declare = (
    schedules: readonly StoredSchedule[],
    { consumer = '-', firstMs = 0, upMs = 0 }: { consumer?: string; firstMs?: number; upMs?: number } = {},
  ): Promise<DeclaredAll> =>
    declareSchedulesScript.run(this.bed.link, {
      keys: this.keys,
      restKeys: schedules.map(({ schedule }) => lastInstantKey(keyspace, this.queue, schedule.id)),
      args: { consumer, upMs, lateMs: LATE_MS, inboxes: INBOXES },
      rest: schedules.flatMap(({ schedule, fingerprint, spec, payload }) => [
        ...[schedule.id, fingerprint, firstMs, firstMs, spec, payload],
      ]),
    });

  readonly fire = (fires: readonly Fire[] = [], limit = 10): Promise<Fired> =>
    fireSchedulesScript.run(this.bed.link, {
      keys: this.keys,
      args: { limit },
      rest: fires.flatMap(
        ({ id = 'nightly', fingerprint, nextMs, followingMs, instants, untilMs = 9e15, behind = 0 }) => [
          ...[id, fingerprint, nextMs, followingMs, followingMs, untilMs, behind, instants.length],
          ...instants,
        ],
      ),
    });

  readonly state = async (id = 'nightly'): Promise<State | undefined> => {
    const text = await this.bed.admin.hget(this.keys.states, id);
    if (text === null) return undefined;
    const [, nextMs, dueMs, lastMs, paused, , , orphanedMs, by = ''] = text.split(' ');
    return {
      ...{ nextMs: Number(nextMs), dueMs: Number(dueMs), lastMs: Number(lastMs), orphanedMs: Number(orphanedMs) },
      ...{ paused: paused === '1', by },
    };
  };

  /** As if the schedule's next instant were this one, and its last published one another. */
  readonly setNext = async (nextMs: number, { id = 'nightly', lastMs = 0 } = {}): Promise<void> => {
    const parts = (await this.bed.admin.hget(this.keys.states, id))!.split(' ');
    parts.splice(1, 3, String(nextMs), String(nextMs), String(lastMs));
    await this.bed.admin.hset(this.keys.states, id, parts.join(' '));
    if (parts[4] === '0') await this.bed.admin.zadd(this.keys.due, nextMs, id);
  };

  /** The ids of the tasks in the stream, oldest first. */
  readonly tasks = async (): Promise<string[]> => {
    const rows = await this.bed.admin.xrange(this.keys.stream, '-', '+');
    return rows.map(([, fields]) => (JSON.parse(fields[fields.indexOf('meta') + 1] || '{}') as { id: string }).id);
  };

  /** A consumer with a lease that lasts a minute, or that is over. */
  readonly lease = async (consumer: string, lives = true): Promise<void> => {
    const [seconds] = await this.bed.admin.time();
    await this.bed.admin.zadd(this.keys.alive, (Number(seconds) + (lives ? 60 : -60)) * 1_000, consumer);
  };
}
