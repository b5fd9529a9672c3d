import { randomBytes } from 'node:crypto';
import { isUnavailable, type Clock, type Keyspace, type Link } from '../../redis/index.js';
import { debug } from '../observe/queue.debug.js';
import { channels } from '../observe/queue.channels.js';
import { dueInMs, isDelayed } from '../publish/publish.options.js';
import { sentMeta } from '../publish/sent-meta.js';
import { TaskAckRefusedError } from '../queue.errors.js';
import type { RunRecords } from '../history/run-records.js';
import type { Outcome } from '../results/outcome.js';
import { queueKeys, resultKey, waitersKey, type QueueKeys } from '../store/queue.keys.js';
import { commitScript, type Commit } from '../store/scripts/commit.script.js';
import type { Delivery } from '../task/delivery.js';
import type { RetryUntilConfirmed } from '../worker/settling/retry-until-confirmed.js';
import { refusalText } from './refusal-text.js';
import type { SentNext, TaskNotes } from './task-notes.js';

export interface CommitSenderOptions {
  link: Link;
  keyspace: Keyspace;
  keys: QueueKeys;
  queue: string;
  group: string;
  consumer: string;
  /** The prefix of the names of inboxes. */
  inboxes: string;
  clock: Clock;
  retryUntilConfirmed: RetryUntilConfirmed;
  records: Pick<RunRecords, 'keys' | 'completed'>;
  /** A task was published that is due in `delayMs`. */
  onDelayed: (queue: string, keys: QueueKeys, delayMs: number) => void;
}

/** How the acknowledgement of a task with notes has ended. */
export interface Committed {
  /** False: the app stopped first, or it was refused. */
  readonly isSettled: boolean;
  /** False: another delivery of the task is or was settled, and nothing was done here. */
  readonly isOurs?: boolean;
  /** Nothing was written, and the attempt has failed. */
  readonly refused?: unknown;
}

/** Acknowledges tasks together with what their handlers have noted: each task in one step. */
export class CommitSender {
  readonly #options: CommitSenderOptions;

  constructor(options: CommitSenderOptions) {
    this.#options = options;
  }

  /**
   * Settles a task whose handler returned. If the delivery is not this process' any more, what was noted is dropped.
   *
   * @param outcome for the publishers that wait; undefined: none does
   */
  async commit(delivery: Delivery, notes: TaskNotes, outcome: Outcome | undefined): Promise<Committed> {
    try {
      await notes.checked();
    } catch (refused) {
      return { isSettled: false, refused };
    }
    const { queue, retryUntilConfirmed } = this.#options;
    const call = this.#callOf(delivery, notes, outcome);
    let sent: Commit['how'] | TaskAckRefusedError | undefined;
    const isSettled = await retryUntilConfirmed.run(`acknowledging a task of queue '${queue}' with notes`, async () => {
      sent = await this.#send(delivery, notes, call);
    });
    return sent instanceof TaskAckRefusedError
      ? { isSettled: false, refused: sent }
      : { isSettled, isOurs: sent === 'done' };
  }

  async #send(delivery: Delivery, notes: TaskNotes, call: CallOf): Promise<Commit['how'] | TaskAckRefusedError> {
    const { link, queue, keys } = this.#options;
    const { taskId } = delivery;
    let commit: Commit;
    try {
      // This number is read at each try: the task may have been delivered again meanwhile.
      commit = await commitScript.run(link, call(delivery.deliveries));
    } catch (error) {
      if (!isUnavailable(error) || error.refusal !== 'NOPERM') throw error;
      // The user has no right to one of the keys. The step that settles the failure is fenced, so it does not matter how far this one came.
      return new TaskAckRefusedError(queue, taskId, `${error.message}. ${RIGHTS}`, { cause: error });
    }
    debug?.('%s: task %s with notes: %s', keys.stream, taskId, commit.how);
    if (commit.how === 'refused') return new TaskAckRefusedError(queue, taskId, refusalText(commit, notes.noted));
    if (commit.how === 'done') this.#published(notes.sent, commit.ids);
    return commit.how;
  }

  #published(sent: readonly SentNext[], ids: readonly string[]): void {
    const { clock, keyspace, onDelayed } = this.#options;
    for (const [i, { queue, options }] of sent.entries()) {
      const dueMs = dueInMs(options, clock);
      if (dueMs < Infinity) onDelayed(queue, queueKeys(keyspace, queue), dueMs);
      if (!channels.published.hasSubscribers) continue;
      const { delayMs = 0, runAt } = options;
      channels.published.publish({ queue, id: ids[i] ?? '', delayMs, ...(runAt && { runAt }) });
    }
  }

  /** The call of the script: the same at each try, but for the number of deliveries. */
  #callOf(delivery: Delivery, notes: TaskNotes, outcome: Outcome | undefined): CallOf {
    const { id, taskId, join = '', reply, key, waitersMeta } = delivery;
    const { keyspace, keys, group, consumer, inboxes, clock, records } = this.#options;
    const { words, sent } = notes;
    const targets = sent.map(({ queue }) => queueKeys(keyspace, queue));
    const next = sent.flatMap(({ payload, options }, i) => {
      const { stream, delayed, bodies, alive } = targets[i] ?? keys;
      const handle = isDelayed(options) ? newTaskId() : undefined;
      const { delayMs = 0, runAt } = options;
      const meta = sentMeta(options, { id: handle });
      return [stream, delayed, bodies, alive, handle ?? '', payload, meta, delayMs, runAt?.getTime() ?? -1];
    });
    const { stream, index, delayed, bodies, alive, side } = keys;
    return (deliveries) => ({
      keys: { stream, index, delayed, bodies, alive, history: records.keys.completed },
      restKeys: [
        ...words.map(([, at = '']) => at),
        ...targets.flatMap((target) => [target.stream, target.delayed, target.bodies, target.alive]),
        ...(reply ? [resultKey(keys, reply.token)] : []),
        ...(key === undefined ? [] : [waitersKey(keys, key)]),
      ],
      args: {
        ...{ group, consumer, id, task: taskId, deliveries, side, join, inboxes },
        timestamp: String(Math.floor(clock.wallMs() / 1_000)),
        ...{ meta: waitersMeta, outcome: outcome?.kind ?? '', text: outcome?.text ?? '' },
        ...{ run: records.completed(delivery), writes: words.length },
      },
      rest: [...words.flatMap((each) => [each.length, ...each]), ...next],
    });
  }
}

type CallOf = (deliveries: number) => Parameters<typeof commitScript.run>[1];

const RIGHTS = "Grant it with ACL SETUSER; SECURITY.md, 'Rights in Redis', says what task.onAck needs";

/** Unique, and never of an entry's form, `<digits>-<digits>`. */
function newTaskId(): string {
  return `${randomBytes(12).toString('base64url')}.n`;
}
