import { createHash } from 'node:crypto';
import { parseProcessId, type Keyspace, type ProcessId } from '../../redis/index.js';
import { partsOfPlace } from './levels.js';

/** The keys of one queue. All lie in one Cluster slot. */
export interface QueueKeys {
  /** Stream: the tasks that wait and those that are being worked on. */
  readonly stream: string;
  /** Sorted set: handle of a task that is due later → when it is due, in milliseconds on the server's clock. */
  readonly delayed: string;
  /** Hash: handle → the framed entry that a delayed task will be. */
  readonly bodies: string;
  /** Sorted set: the id of a task whose entry has another id (a retry, or a task that was delayed) → where that entry is. */
  readonly index: string;
  /** Stream: dead letters, with the reason. */
  readonly dead: string;
  /** Sorted set: the same as `index`, for dead letters. */
  readonly deadIndex: string;
  /** Sorted set: consumer → when its lease ends, in milliseconds on the server's clock. */
  readonly alive: string;
  /** Sorted set: `<entry id> <group>` of the tasks that are cancelled while a worker has them → since when, on the server's clock. */
  readonly cancelled: string;
  /** String: set while the queue is paused. Its value is the time of the pause. */
  readonly paused: string;
  /** String: set while somebody listens to the events of the queue. It expires. */
  readonly observed: string;
  /** Hash: group → when a process last looked for what no lease shows, in milliseconds on the server's clock. */
  readonly swept: string;
  /** Hash: the features whose data only some releases know; missing while there is none. See docs/internals/versions.md. */
  readonly uses: string;
  /** What the names of all keys beside the stream begin with. */
  readonly side: string;
}

/**
 * The keys of a queue, or of one level of its priority (see `placeOf`). The levels of a queue have their leases, their pause and their
 * features in common: a process works on all of them, and a pause is for all of them.
 *
 * @throws SluiceError `SLUICE_BAD_NAME`
 */
export function queueKeys(keyspace: Keyspace, name: unknown): QueueKeys {
  const { queue, level } = typeof name === 'string' ? partsOfPlace(name) : { queue: name, level: 'normal' };
  const main = keyspace.main('queue', '', queue);
  const stream = level === 'normal' ? main : keyspace.side(main, level);
  const side = (suffix: string): string => keyspace.side(stream, suffix);
  const common = (suffix: string): string => keyspace.side(main, suffix);
  return {
    stream,
    delayed: side('delayed'),
    bodies: side('bodies'),
    index: side('index'),
    dead: side('dead'),
    deadIndex: side('dead-index'),
    alive: common('alive'),
    cancelled: side('cancelled'),
    paused: common('paused'),
    observed: common('observed'),
    swept: side('swept'),
    uses: common('uses'),
    side: side(''),
  };
}

/** The keys of a group's own retries, as {@link queueKeys}. Retries go there while the queue has several groups. */
export function retryKeys(keyspace: Keyspace, name: unknown, group: string): QueueKeys {
  const { stream, ...shared } = queueKeys(keyspace, name);
  const side = (suffix: string): string => keyspace.side(stream, `${suffix}:${group}`);
  const [delayed, bodies, index] = [side('delayed'), side('bodies'), side('index')];
  const [swept, cancelled] = [side('swept'), side('cancelled')];
  return { ...shared, stream: side('retry'), delayed, bodies, index, swept, cancelled };
}

/** The keys of the rate at which a group may start tasks of a queue. They lie in the slot of the queue. */
export interface RateKeys {
  /** String: the sliding window of the starts (see `LIMIT`). It expires. */
  readonly rate: string;
  /** String: the longest time between a permission and its start, if it is longer than usual. It expires. */
  readonly grace: string;
}

export function rateKeys(keyspace: Keyspace, { stream }: QueueKeys, group: string): RateKeys {
  return { rate: keyspace.side(stream, `rate:${group}`), grace: keyspace.side(stream, `rate-grace:${group}`) };
}

/** The keys of the order in which a group runs the tasks of each ordering key. They lie in the slot of the queue. */
export interface GateKeys {
  /** Hash: ordering key → the task that may run. See `GATES`. */
  readonly gates: string;
  /** Sorted set: the entries that wait for their key, by key and by their ids. */
  readonly line: string;
}

export function gateKeys(keyspace: Keyspace, { stream }: Pick<QueueKeys, 'stream'>, group: string): GateKeys {
  return { gates: keyspace.side(stream, `gates:${group}`), line: keyspace.side(stream, `line:${group}`) };
}

/** The keys of a queue's history. They lie in the slot of the queue, and are there only if a process keeps one. */
export interface HistoryKeys {
  /** Stream: the newest tasks that were completed. See `HISTORY`. */
  readonly completed: string;
  /** Stream: the newest tasks that failed for good. */
  readonly failed: string;
}

/** The keys of the history of a queue. Its levels of priority have one history in common. */
export function historyKeys(keyspace: Keyspace, place: string): HistoryKeys {
  const main = keyspace.main('queue', '', partsOfPlace(place).queue);
  return { completed: keyspace.side(main, 'history-completed'), failed: keyspace.side(main, 'history-failed') };
}

/** The keys of the rate at which a group starts tasks of each key. They lie in the slot of the queue. See `KEY_RATES`. */
export interface KeyRateKeys {
  /** Hash: key → the sliding window of its starts. It expires. */
  readonly rates: string;
  /** Sorted set: key → when its window has lapsed, in milliseconds on the server's clock. It expires. */
  readonly rateEnds: string;
  /** Sorted set: the entries of one stream that wait for the rate of their key, by key and by their ids. */
  readonly rateLine: string;
  /** Sorted set: key of such entries → when the next one may start, in milliseconds on the server's clock. */
  readonly rateDue: string;
}

/** The windows of a group, and the line of the queue's own stream, or with `retries` of that of the group's own retries. */
export function keyRateKeys(
  keyspace: Keyspace,
  { stream }: Pick<QueueKeys, 'stream'>,
  group: string,
  retries = false,
): KeyRateKeys {
  const side = (suffix: string): string => keyspace.side(stream, `${suffix}:${group}`);
  const of = retries ? 'retry-key-rate' : 'key-rate';
  return {
    rates: side('key-rates'),
    rateEnds: side('key-rate-ends'),
    rateLine: side(`${of}-line`),
    rateDue: side(`${of}-due`),
  };
}

/** The key of what is known about the task that was published under a key. `digest`: see `keyDigest`. */
export function recordKey({ side }: Pick<QueueKeys, 'side'>, digest: string): string {
  return `${side}key:${digest}`;
}

/**
 * The key of the answer to a publish with that nonce, under the key with that digest. The same nonce with another key is another publish: a
 * caller that makes nonces of its requests may publish under several keys in one of them.
 */
export function nonceKey({ side }: Pick<QueueKeys, 'side'>, digest: string, nonce: string): string {
  return `${side}nonce:${keyDigest(`${digest} ${nonce}`)}`;
}

/** The key under which the result of a task is kept for the publisher that waits for it. */
export function resultKey({ side }: Pick<QueueKeys, 'side'>, token: string): string {
  return `${side}result:${token}`;
}

/** The key of those who wait for the end of a task that was published under a key, beside the one in its `meta`. It expires. */
export function waitersKey({ side }: Pick<QueueKeys, 'side'>, digest: string): string {
  return `${side}waiters:${digest}`;
}

/** The key under which the last progress of a running task is kept. It expires. */
export function progressKey({ side }: Pick<QueueKeys, 'side'>, group: string, taskId: string): string {
  return `${side}progress:${keyDigest(`${group} ${taskId}`)}`;
}

/** The channel on which the processes tell what happens in a queue. `inboxes`: the prefix of the names of inboxes. */
export function eventsChannel(inboxes: string, { observed }: Pick<QueueKeys, 'observed'>): string {
  return `${inboxes}~events:${observed}`;
}

/** What the names of keys have of a key that a caller chose, which may be long: 132 bits of its hash. */
export function keyDigest(key: string): string {
  return createHash('sha256').update(key).digest('base64url').slice(0, 22);
}

/** The key of what counts how the tasks of one `publishMany` end: see join.fragment.ts. */
export function joinKey({ side }: Pick<QueueKeys, 'side'>, id: string): string {
  return `${side}join:${id}`;
}

/** The keys of a queue of named tasks as a whole. They are in the Cluster slot of its names' streams. */
export interface NamesKeys {
  /** Set: the names that a process has worked on. */
  readonly names: string;
  /** String: set while names that come later begin paused. Its value is the time of the pause. */
  readonly pausedNames: string;
}

/** @param queue the queue's name with its hash tag: see `taggedName` */
export function namesKeys(keyspace: Keyspace, queue: string): NamesKeys {
  const main = keyspace.main('queue', '', queue);
  return { names: keyspace.side(main, 'names'), pausedNames: keyspace.side(main, 'paused-names') };
}

/** The keys of a queue's schedules. They lie in the slot of the queue. */
export interface ScheduleKeys {
  /** Hash: schedule → its spec and its payload. */
  readonly schedules: string;
  /** Hash: schedule → its next and its last instant, and which process declared it. */
  readonly states: string;
  /** Sorted set: schedule → when its next task is published, in milliseconds on the server's clock. Paused ones are missing. */
  readonly due: string;
}

/** The keys of the schedules beside a queue. */
export function scheduleKeys(keyspace: Keyspace, { stream }: QueueKeys): ScheduleKeys {
  const side = (suffix: string): string => keyspace.side(stream, suffix);
  return { schedules: side('schedules'), states: side('schedule-states'), due: side('schedule-due') };
}

/** Hash: the last instant of a schedule that was removed. It expires. */
export function lastInstantKey(keyspace: Keyspace, { stream }: QueueKeys, schedule: string): string {
  return keyspace.side(stream, `schedule-last:${schedule}`);
}

/** The prefix of the names of Sluice's consumers. Consumers of other software in the group are not touched. */
export const CONSUMER_PREFIX = 'sluice:';

/** The consumer that owns the tasks that a stopping process returned. It holds no lease, so any process may take them over. */
export const RELEASED = `${CONSUMER_PREFIX}~released`;

/** The consumer that owns the tasks that wait for their ordering key. It holds no lease, and nobody takes over what it has. */
export const PARKED = `${CONSUMER_PREFIX}~parked`;

/** The consumer that owns the tasks that wait for the rate of their key. It holds no lease either. */
export const PACED = `${CONSUMER_PREFIX}~paced`;

/** The name under which one start of one process reads. The part after the prefix is the name of its inbox, for messages. */
export function consumerName(processId: string): string {
  return CONSUMER_PREFIX + processId;
}

/** The parts of a Sluice consumer's name; undefined for other names. */
export function consumerParts(name: string): ProcessId | undefined {
  return name.startsWith(CONSUMER_PREFIX) ? parseProcessId(name.slice(CONSUMER_PREFIX.length)) : undefined;
}
