import { Loop, isUnavailable, type Clock, type Keyspace, type Link } from '../../../redis/index.js';
import { declareSchedules } from '../../schedules/declare.js';
import type { StoredSchedule } from '../../schedules/schedule.js';
import { scheduleKeys } from '../../store/queue.keys.js';
import { orphanSchedulesScript } from '../../store/scripts/orphan-schedules.script.js';
import type { Worker } from '../worker.js';

export interface ScheduleDeclarerOptions {
  worker: Worker;
  /** What the handlers of this process declare for the queue. */
  schedules: readonly StoredSchedule[];
  /** Whether schedules that no process declares any more are paused after a day. */
  pausesOrphans: boolean;
  link: Link;
  keyspace: Keyspace;
  consumer: string;
  inboxes: string;
  leaseMs: number;
  clock: Clock;
  log: { warn(message: string): void };
}

/** How long until the next try, until this process has its lease on the queue. */
const AGAIN_MS = 50;
/** How often this process declares its schedules again, in leases. */
const REPEAT_LEASES = 6;
/** How often this process looks for orphans, and after how long an orphan is reported. */
const ORPHANS_MS = 600_000;
/** How often the same orphans are reported. */
const REPORT_MS = 3_600_000;
/** After how long an orphan is paused, if the options say so. */
const PAUSE_MS = 86_400_000;

/**
 * Declares the schedules of this process, again and again: when another process is dead whose spec stood in the way, this one's
 * spec replaces it; and a schedule whose declaring process is dead gets this one. If nothing has changed, nothing is written.
 */
export class ScheduleDeclarer {
  readonly loop: Loop;
  readonly #options: ScheduleDeclarerOptions;
  readonly #overruled = new Set<string>();
  #isWarned = false;
  #orphansDueMs = 0;
  #reportedMs = -Infinity;
  #markDeclared: () => void = () => {};
  /** Resolves when the schedules were declared for the first time. */
  readonly declared = new Promise<void>((resolve) => {
    this.#markDeclared = resolve;
  });

  constructor(options: ScheduleDeclarerOptions) {
    const { clock, worker, log } = options;
    this.#options = options;
    this.loop = new Loop({
      name: 'queue schedule declarations',
      clock,
      turn: () => this.#turn(),
      onError: (error) => {
        // The connection reports outages.
        if (isUnavailable(error)) return;
        log.warn(`the schedules of queue '${worker.handler.queue}' cannot be stored: ${String(error)}`);
      },
    });
  }

  async #turn(): Promise<number> {
    const { worker, leaseMs, clock } = this.#options;
    if (worker.lease.unknown !== undefined) return leaseMs;
    if (!worker.lease.taken) return AGAIN_MS;
    await this.#declare();
    this.#markDeclared();
    if (clock.monoMs() >= this.#orphansDueMs) {
      await this.#lookForOrphans();
      this.#orphansDueMs = clock.monoMs() + ORPHANS_MS;
    }
    return REPEAT_LEASES * leaseMs;
  }

  async #declare(): Promise<void> {
    const { worker, schedules, link, keyspace, consumer, inboxes, log } = this.#options;
    if (schedules.length === 0) return;
    const { queue } = worker.handler;
    const { declared, groups } = await declareSchedules(
      { link, keyspace, keys: worker.keys, inboxes, consumer },
      schedules,
    );
    for (const { id, state } of declared) {
      if (state !== 'declared') this.#overruled.delete(id);
      else if (!this.#overruled.has(id)) {
        this.#overruled.add(id);
        log.warn(
          `schedule '${id}' of queue '${queue}' is declared in another way by a process that started later; ` +
            'the spec of this process is not used while that one lives',
        );
      }
    }
    if (groups < 2 || this.#isWarned) return;
    this.#isWarned = true;
    log.warn(`queue '${queue}' has schedules and ${groups} consumer groups: each group gets each of their tasks`);
  }

  async #lookForOrphans(): Promise<void> {
    const { worker, pausesOrphans, link, keyspace, clock, log } = this.#options;
    const { queue } = worker.handler;
    const { count, ids, paused } = await orphanSchedulesScript.run(link, {
      keys: { ...worker.keys, ...scheduleKeys(keyspace, worker.keys) },
      args: { reportAfterMs: ORPHANS_MS, pauseAfterMs: pausesOrphans ? PAUSE_MS : -1 },
    });
    for (const id of paused)
      log.warn(`schedule '${id}' of queue '${queue}' is paused: no process declares it any more`);
    if (count === 0 || clock.monoMs() - this.#reportedMs < REPORT_MS) return;
    this.#reportedMs = clock.monoMs();
    const names = ids.map((id) => `'${id}'`).join(', ');
    log.warn(
      `${count} schedules of queue '${queue}' go on although no process declares them any more: ${names}. ` +
        'Remove them with queue.schedules(queue).remove(id), or set queue.schedules.orphans',
    );
  }
}
