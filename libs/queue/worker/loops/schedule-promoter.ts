import { GenerationalMap, isUnavailable, type Clock, type Keyspace, type Link } from '../../../redis/index.js';
import { isSluiceError } from '../../../weave/index.js';
import { channels } from '../../observe/queue.channels.js';
import { planDue, type DuePlan } from '../../schedules/due-plan.js';
import type { Schedule } from '../../schedules/schedule.js';
import { scheduleOf } from '../../schedules/schedule.options.js';
import { scheduleKeys, type ScheduleKeys } from '../../store/queue.keys.js';
import { fireSchedulesScript, type DueSchedule, type Fired } from '../../store/scripts/fire-schedules.script.js';
import type { Worker } from '../worker.js';
import { DueLoop, type DueStep } from './due-loop.js';

export interface SchedulePromoterOptions {
  /** The worker on the queue. */
  worker: Worker;
  link: Link;
  keyspace: Keyspace;
  clock: Clock;
  log: { warn(message: string): void };
}

/** Schedules in one script: about a millisecond of the server's time. All other clients wait for it. */
const BATCH = 100;
/** Tasks in one script. Most schedules publish one task at a time; those that missed many instants publish more. */
const TASKS_MOST = 1_000;

/** A due schedule with what this process decided about it. */
interface Planned extends DuePlan {
  readonly due: DueSchedule;
}

/**
 * Publishes the tasks of a queue's schedules. Every worker process does this, without a leader: the script publishes each instant
 * once.
 *
 * The reply of a call tells which schedules are due next. So the process computes what follows before they are due, and publishes
 * at the due time with one round trip. It computes with the server's clock: the time in the reply, and what has passed since.
 */
export class SchedulePromoter {
  readonly loop: DueLoop;
  readonly #options: SchedulePromoterOptions;
  readonly #keys: ScheduleKeys;
  /** Id and spec → what this process reads from them. */
  readonly #schedules = new GenerationalMap<string, Schedule>({ size: 5_000 });
  #heads: readonly { due: DueSchedule; schedule: Schedule }[] = [];
  /** The server's clock, less the own one that never steps. */
  #offsetMs = 0;
  readonly #unreadable = new Set<string>();

  constructor(options: SchedulePromoterOptions) {
    const { clock, worker, keyspace, log } = options;
    this.#options = options;
    this.#keys = scheduleKeys(keyspace, worker.keys);
    this.loop = new DueLoop({
      name: 'queue schedules',
      clock,
      step: () => this.#step(),
      onError: (error) => {
        // The connection reports outages, and the next renewal reports data of a newer release.
        if (isUnavailable(error) || isSluiceError(error, 'SLUICE_NEWER_DATA')) return;
        log.warn(`the schedules of queue '${worker.handler.queue}' cannot be read, and wait: ${String(error)}`);
      },
    });
  }

  async #step(): Promise<DueStep | undefined> {
    const { link, worker, clock } = this.#options;
    if (worker.lease.unknown !== undefined) return undefined;
    const plans = this.#plans();
    const fired = await fireSchedulesScript.run(link, {
      keys: { ...worker.keys, ...this.#keys },
      args: { limit: BATCH },
      rest: plans.flatMap(({ due, instants, followingMs, dueMs, untilMs, behind }) => [
        ...[due.id, due.fingerprint, due.nextMs, followingMs, dueMs, untilMs, behind, instants.length],
        ...instants,
      ]),
    });
    this.#offsetMs = fired.nowMs - clock.monoMs();
    this.#learn(fired.heads);
    this.#tell(plans, fired);
    const first = this.#heads[0]?.due;
    const nextMs = first && Math.max(0, first.dueMs - fired.nowMs);
    return { worked: fired.counts.some((count) => count >= 0), nextMs };
  }

  /** What is to be published now, of the schedules that were due next at the last call. */
  #plans(): Planned[] {
    const nowMs = this.#options.clock.monoMs() + this.#offsetMs;
    const plans: Planned[] = [];
    let room = TASKS_MOST;
    for (const { due, schedule } of this.#heads) {
      if (due.dueMs > nowMs + 1 || room === 0) break;
      const plan = planDue(schedule, due, Math.max(nowMs, due.dueMs), room);
      plans.push({ due, ...plan });
      room -= plan.instants.length;
    }
    return plans;
  }

  #learn(heads: readonly DueSchedule[]): void {
    this.#heads = heads.flatMap((due) => {
      const key = `${due.id} ${due.spec}`;
      const schedule = this.#schedules.get(key) ?? scheduleOf(due.id, due.spec);
      if (schedule === undefined) {
        this.#reportUnreadable(due);
        return [];
      }
      this.#schedules.set(key, schedule);
      return [{ due, schedule }];
    });
  }

  #reportUnreadable({ id, spec }: DueSchedule): void {
    if (this.#unreadable.has(id)) return;
    this.#unreadable.add(id);
    const { worker, log } = this.#options;
    log.warn(
      `schedule '${id}' of queue '${worker.handler.queue}' is not readable here, and is left to others: ${spec}`,
    );
  }

  #tell(plans: readonly Planned[], { counts }: Fired): void {
    const { queue } = this.#options.worker.handler;
    for (const [i, { due, instants, followingMs, dropped }] of plans.entries()) {
      const count = counts[i] ?? -1;
      if (count < 0) continue;
      if (dropped) {
        this.#options.log.warn(
          `schedule '${due.id}' of queue '${queue}' missed more instants than are published in a row: those from ` +
            `${new Date(due.nextMs).toISOString()} to ${new Date(followingMs).toISOString()} are dropped`,
        );
      }
      if (!channels.published.hasSubscribers) continue;
      for (const instant of instants.slice(0, count)) {
        channels.published.publish({ queue, id: `${due.id}@${instant}`, delayMs: 0 });
      }
    }
  }
}
