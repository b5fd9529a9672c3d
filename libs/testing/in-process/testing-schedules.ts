import type { CancelTimer, Clock } from '../../redis/index.js';
import type { ScheduleInfo, ScheduleOptions, ScheduleSpec, TaskSchedules } from '../../queue/index.js';
import { planDue } from '../../queue/schedules/due-plan.js';
import { dueOf, nextInstant } from '../../queue/schedules/instants.js';
import type { StoredSchedule } from '../../queue/schedules/schedule.js';
import { checkScheduleId, resolveSchedule, storedSchedule } from '../../queue/schedules/schedule.options.js';
import { encodePayload } from '../../queue/task/payload.js';
import { checked, type StandardSchema } from '../../queue/task/standard-schema.js';
import { SluiceError } from '../../weave/index.js';

/** A schedule of a test. */
export interface TestSchedule {
  stored: StoredSchedule;
  readonly declared: boolean;
  nextMs: number;
  behind: number;
  lastMs: number | undefined;
  paused: boolean;
  cancel: CancelTimer;
}

/** How many instants one step publishes at most. */
const MOST = 1_000;

/** The schedules of one queue of a test. They become due by `TestingClock`, by the same rules as on Redis. */
export class TestingSchedules implements Pick<TaskSchedules, keyof TaskSchedules> {
  readonly #all: Map<string, TestSchedule>;

  constructor(
    private readonly options: {
      queue: string;
      schema: StandardSchema | undefined;
      /** By id. Shared by all objects for the queue. */
      all: Map<string, TestSchedule>;
      clock: Clock;
      maxPayloadBytes: number;
      publish: (id: string, payload: string) => void;
    },
  ) {
    this.#all = options.all;
  }

  /** Adds what a `@TaskSchedule` declares. */
  declare(stored: StoredSchedule): void {
    this.#set(stored, true);
  }

  async upsert(id: string, spec: ScheduleSpec, payload: unknown, options?: ScheduleOptions): Promise<boolean> {
    const { queue, schema, maxPayloadBytes } = this.options;
    const schedule = resolveSchedule('schedules().upsert', id, spec, options);
    const stored = storedSchedule(schedule, encodePayload(payload, 'payload', maxPayloadBytes));
    if (schema) await checked(schema, payload, { queue, root: 'payload', at: 'publish' });
    const known = this.#all.get(id);
    if (known?.stored.fingerprint === stored.fingerprint) return false;
    if (known?.declared === true) throw this.#isDeclared(id);
    this.#set(stored, false);
    return true;
  }

  list(): Promise<ScheduleInfo[]> {
    const all = [...this.#all.values()].sort((a, b) => a.nextMs - b.nextMs);
    return Promise.resolve(
      all.map(({ stored: { schedule, payload }, nextMs, lastMs, paused, declared }) => {
        const { id, cron, everyMs = 0, timeZone, missed, jitterMs } = schedule;
        return {
          ...{ id, timeZone, missed, jitterMs, paused, orphaned: false, spec: cron ?? { everyMs } },
          payload: JSON.parse(payload) as unknown,
          next: new Date(nextMs),
          last: lastMs === undefined ? undefined : new Date(lastMs),
          declaredBy: declared ? 'this process' : undefined,
        };
      }),
    );
  }

  pause(id: string): Promise<boolean> {
    return Promise.resolve(this.#pause(id, true));
  }

  resume(id: string): Promise<boolean> {
    return Promise.resolve(this.#pause(id, false));
  }

  remove(id: string): Promise<boolean> {
    const known = this.#all.get(checkScheduleId(id, 'schedules().remove: id'));
    if (known?.declared === true) return Promise.reject(this.#isDeclared(id));
    known?.cancel();
    return Promise.resolve(this.#all.delete(id));
  }

  runNow(id: string): Promise<string | undefined> {
    const known = this.#all.get(checkScheduleId(id, 'schedules().runNow: id'));
    if (known === undefined) return Promise.resolve(undefined);
    const task = `${id}@now.${Math.floor(this.options.clock.wallMs())}`;
    this.options.publish(task, known.stored.payload);
    return Promise.resolve(task);
  }

  #pause(id: string, paused: boolean): boolean {
    const known = this.#all.get(checkScheduleId(id, 'schedules(): id'));
    if (known === undefined || known.paused === paused) return false;
    known.paused = paused;
    known.cancel();
    if (!paused) this.#fire(known);
    return true;
  }

  #set(stored: StoredSchedule, declared: boolean): void {
    const { schedule } = stored;
    const known = this.#all.get(schedule.id);
    known?.cancel();
    const { lastMs, paused = false } = known ?? {};
    const nextMs = nextInstant(schedule, Math.max(this.options.clock.wallMs(), lastMs ?? 0)) ?? Infinity;
    const running: TestSchedule = { stored, declared, nextMs, lastMs, paused, behind: 0, cancel: () => {} };
    this.#all.set(schedule.id, running);
    if (!paused) this.#wait(running);
  }

  #wait(running: TestSchedule): void {
    const { clock } = this.options;
    const restMs = dueOf(running.stored.schedule, running.nextMs) - clock.wallMs();
    if (restMs === Infinity) return;
    running.cancel = clock.timer(Math.max(0, Math.ceil(restMs)), () => {
      this.#fire(running);
    });
  }

  #fire(running: TestSchedule): void {
    const { schedule, payload } = running.stored;
    const nowMs = this.options.clock.wallMs();
    // A timer may be early: it is no longer than 24.8 days.
    if (nowMs >= dueOf(schedule, running.nextMs)) {
      const { instants, followingMs, behind } = planDue(schedule, running, nowMs, MOST);
      for (const instant of instants) this.options.publish(`${schedule.id}@${instant}`, payload);
      Object.assign(running, { nextMs: followingMs, behind, lastMs: instants.at(-1) ?? running.lastMs });
    }
    this.#wait(running);
  }

  #isDeclared(id: string): SluiceError {
    return new SluiceError(
      'SLUICE_SCHEDULE_DECLARED',
      `schedule '${id}' of queue '${this.options.queue}' cannot be changed: a @TaskSchedule declares it`,
    );
  }
}
