import { Transition, type Clock, type Link } from '../../../redis/index.js';
import { channels } from '../../observe/queue.channels.js';
import type { Handler } from '../../handlers/handler.registry.js';
import type { QueueTally } from '../../observe/queue.stats.js';
import { groupsScript } from '../../store/scripts/groups.script.js';
import type { Worker } from '../worker.js';

/** For how many leases a group has to be without a consumer until it is reported, so that a deploy is not reported. */
const LEASES = 12;

interface Watched {
  /** Since when the group has tasks and no consumer, on the monotonic clock. */
  sinceMs: number | undefined;
  readonly unread: Transition<{ waiting: number; running: number }>;
}

export interface UnreadGroupsOptions {
  link: Link;
  clock: Clock;
  leaseMs: number;
  tally: QueueTally;
  log: { warn(message: string): void };
}

/**
 * Reports other groups of a queue that have tasks and no living consumer, once per change. After a rename, for example, the old
 * group keeps every task in Redis, until Redis is full. Only queues with several groups are checked.
 *
 * All groups of a process share one instance: several of them may read one queue, and each change is reported once.
 */
export class UnreadGroups {
  readonly #options: UnreadGroupsOptions;
  /** Place → group → what is known of it. */
  readonly #watched = new Map<string, Map<string, Watched>>();

  constructor(options: UnreadGroupsOptions) {
    this.#options = options;
  }

  async look({ keys, handler }: Worker): Promise<void> {
    const { link, clock, leaseMs } = this.#options;
    const { stream, alive } = keys;
    const nowMs = clock.monoMs();
    const groups = await groupsScript.run(link, { keys: { stream, alive }, args: {} });
    const watchedGroups = this.#groupsOf(handler.place);
    const gone = new Set(watchedGroups.keys());
    for (const { name, waiting, pending, living } of groups) {
      gone.delete(name);
      const watched = this.#of(watchedGroups, handler, name);
      if (living.length > 0 || waiting + pending === 0) {
        watched.sinceMs = undefined;
        watched.unread.end();
        continue;
      }
      watched.sinceMs ??= nowMs;
      if (nowMs - watched.sinceMs >= LEASES * leaseMs) watched.unread.begin({ waiting, running: pending });
    }
    for (const name of gone) {
      watchedGroups.get(name)?.unread.end();
      watchedGroups.delete(name);
    }
  }

  #groupsOf(place: string): Map<string, Watched> {
    const known = this.#watched.get(place);
    if (known) return known;
    const none = new Map<string, Watched>();
    this.#watched.set(place, none);
    return none;
  }

  #of(groups: Map<string, Watched>, { queue, place }: Handler, group: string): Watched {
    const known = groups.get(group);
    if (known) return known;
    const { clock, log, tally } = this.#options;
    const { groupUnread, groupRead } = channels;
    const unread = new Transition<{ waiting: number; running: number }>({
      clock,
      began: ({ waiting, running }) => {
        tally.groupUnread();
        log.warn(
          `group '${group}' of queue '${place}' has ${waiting} tasks waiting and ${running} unfinished, and no consumer: while it ` +
            `exists, all tasks stay in Redis. If it was renamed or is not needed, drop it: queue.groups('${queue}').drop('${group}')`,
        );
        if (groupUnread.hasSubscribers) groupUnread.publish({ queue, group, waiting, running });
      },
      ended: (lastedMs) => {
        tally.groupRead();
        log.warn(`group '${group}' of queue '${place}' is read again, is done, or was dropped`);
        if (groupRead.hasSubscribers) groupRead.publish({ queue, group, lastedMs });
      },
    });
    const watched: Watched = { sinceMs: undefined, unread };
    groups.set(group, watched);
    return watched;
  }
}
