import type { Keyspace, Link } from '../../redis/index.js';
import { lastInstantKey, scheduleKeys, type QueueKeys } from '../store/queue.keys.js';
import { declareSchedulesScript, type Declared } from '../store/scripts/declare-schedules.script.js';
import { LATE_MS, NEVER_MS } from './due-plan.js';
import { dueOf, nextInstant } from './instants.js';
import type { StoredSchedule } from './schedule.js';

export interface DeclareOptions {
  link: Link;
  keyspace: Keyspace;
  keys: QueueKeys;
  /** The prefix of the names of inboxes. */
  inboxes: string;
  /** The consumer that declares the schedules; undefined: a caller of the API. */
  consumer: string | undefined;
}

export interface DeclaredSchedule extends Declared {
  readonly id: string;
}

/** How many schedules one call names. */
const BATCH = 50;
/** A schedule of every second is due again while the calls are under way; that it happens so often in a row is no longer chance. */
const TRIES = 10;

/**
 * Stores schedules that differ from what is stored. If nothing differs, it is one call per 50 schedules, which writes nothing.
 *
 * The first instant is computed from the server's time, which the first call tells. So the wall clock of this process decides
 * nothing.
 */
export async function declareSchedules(
  options: DeclareOptions,
  schedules: readonly StoredSchedule[],
): Promise<{ declared: DeclaredSchedule[]; groups: number }> {
  const declared: DeclaredSchedule[] = [];
  let groups = 0;
  for (let from = 0; from < schedules.length; from += BATCH) {
    const batch = schedules.slice(from, from + BATCH);
    const answer = await declareBatch(options, batch);
    groups = answer.groups;
    declared.push(...answer.declared);
  }
  return { declared, groups };
}

async function declareBatch(
  options: DeclareOptions,
  batch: readonly StoredSchedule[],
): Promise<{ declared: DeclaredSchedule[]; groups: number }> {
  const firsts = new Map<string, number>();
  const found = new Map<string, DeclaredSchedule>();
  let open = batch;
  let groups = 0;
  for (let tries = 0; tries < TRIES && open.length > 0; tries++) {
    const answer = await send(options, open, firsts);
    groups = answer.groups;
    for (const [i, { schedule }] of open.entries()) {
      const declared = answer.declared[i];
      if (declared === undefined) continue;
      found.set(schedule.id, { id: schedule.id, ...declared });
      firsts.set(schedule.id, nextInstant(schedule, Math.max(answer.nowMs, declared.lastMs)) ?? NEVER_MS);
    }
    open = open.filter(({ schedule }) => found.get(schedule.id)?.state === 'unset');
  }
  return { declared: [...found.values()], groups };
}

function send(
  { link, keyspace, keys, inboxes, consumer = '-' }: DeclareOptions,
  schedules: readonly StoredSchedule[],
  firsts: ReadonlyMap<string, number>,
): ReturnType<typeof declareSchedulesScript.run> {
  return declareSchedulesScript.run(link, {
    keys: { ...keys, ...scheduleKeys(keyspace, keys) },
    restKeys: schedules.map(({ schedule }) => lastInstantKey(keyspace, keys, schedule.id)),
    args: { consumer, upMs: Math.ceil(process.uptime() * 1_000), lateMs: LATE_MS, inboxes },
    rest: schedules.flatMap(({ schedule, fingerprint, spec, payload }) => {
      const first = firsts.get(schedule.id);
      if (first === undefined) return [schedule.id, fingerprint, 0, 0, '', ''];
      return [schedule.id, fingerprint, first, dueOf(schedule, first), spec, payload];
    }),
  });
}
