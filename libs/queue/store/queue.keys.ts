import { parseProcessId, type Keyspace, type ProcessId } from '../../redis/index.js';

/** The keys of one queue. All lie in one Cluster slot. */
export interface QueueKeys {
  /** Stream: the tasks that wait and those that are being worked on. */
  readonly stream: string;
  /** Sorted set: handle of a task that is due later → when, in milliseconds on the server's clock. */
  readonly delayed: string;
  /** Hash: handle → the framed entry that a delayed task will be. */
  readonly bodies: string;
  /** Sorted set: the id of a task whose entry has another id (a retry, a task that was delayed) → where that entry is. */
  readonly index: string;
  /** Stream: dead letters, with the reason. */
  readonly dead: string;
  /** Sorted set: as `index`, of dead letters. */
  readonly deadIndex: string;
  /** Sorted set: consumer → when its lease ends, in milliseconds on the server's clock. */
  readonly alive: string;
  /** String: set while the queue is paused, to since when. */
  readonly paused: string;
}

/** @throws SluiceError `SLUICE_BAD_NAME` */
export function queueKeys(keyspace: Keyspace, name: unknown): QueueKeys {
  const stream = keyspace.main('queue', '', name);
  const side = (suffix: string): string => keyspace.side(stream, suffix);
  return {
    stream,
    delayed: side('delayed'),
    bodies: side('bodies'),
    index: side('index'),
    dead: side('dead'),
    deadIndex: side('dead-index'),
    alive: side('alive'),
    paused: side('paused'),
  };
}

/** As {@link queueKeys}, of a group's own retries: where they go while the queue has several groups. */
export function retryKeys(keyspace: Keyspace, name: unknown, group: string): QueueKeys {
  const { stream, ...shared } = queueKeys(keyspace, name);
  const side = (suffix: string): string => keyspace.side(stream, `${suffix}:${group}`);
  const [delayed, bodies, index] = [side('delayed'), side('bodies'), side('index')];
  return { ...shared, stream: side('retry'), delayed, bodies, index };
}

/** What the names of Sluice's consumers begin with. Consumers of other software in the group are left alone. */
export const CONSUMER_PREFIX = 'sluice:';

/** The consumer that owns what a stopping process returned. It holds no lease, so any process may take from it. */
export const RELEASED = `${CONSUMER_PREFIX}~released`;

/** The name under which one start of one process reads. What follows the prefix names its inbox, so it can be told. */
export function consumerName(processId: string): string {
  return CONSUMER_PREFIX + processId;
}

/** What the name of a Sluice consumer tells; undefined for other names. */
export function consumerParts(name: string): ProcessId | undefined {
  return name.startsWith(CONSUMER_PREFIX) ? parseProcessId(name.slice(CONSUMER_PREFIX.length)) : undefined;
}
