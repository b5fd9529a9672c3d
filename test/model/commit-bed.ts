import { expect } from '@jest/globals';
import { Keyspace, type Link } from '../../libs/redis/index.js';
import { CONSUMER_PREFIX, queueKeys } from '../../libs/queue/store/queue.keys.js';
import { commitScript, type Commit, type CommitFault } from '../../libs/queue/store/scripts/commit.script.js';
import { GROUP, QueueScriptBed } from '../support/queue-script-bed.js';

export type Words = readonly (string | number)[];

/** A task that is published with the acknowledgement. */
export interface CommitNext {
  payload: string;
  delayMs?: number;
  runAtMs?: number;
  handle?: string;
}

interface CommitOver {
  next?: readonly CommitNext[];
  deliveries?: number;
  consumer?: string;
  join?: string;
  task?: string;
}

export const ME = `${CONSUMER_PREFIX}me`;
export const DONE = { how: 'done', ids: [] };
export const refused = (write: number, fault: CommitFault, kind = ''): object => ({
  how: 'refused',
  write,
  fault,
  kind,
});

/** A key of the app, in the slot of the bed's queue. */
export const key = (name: string): string => `{tasks}:${name}`;

/** A queue whose tasks are acknowledged with notes, and another one to which they publish. */
export class CommitBed extends QueueScriptBed {
  readonly keys = queueKeys(new Keyspace(), '{tasks}');
  readonly mails = queueKeys(new Keyspace(), '{tasks}.mails');

  constructor() {
    super('{tasks}');
  }

  readonly commit = (id: string, writes: readonly Words[], over: CommitOver = {}): Promise<Commit> => {
    const { next = [], deliveries = 1, consumer = ME, join = '', task = id } = over;
    const { keys, mails } = this;
    // In the build of apps, the types of a bed are those of the package.
    const link: unknown = this.link;
    return commitScript.run(link as Link, {
      keys: { ...keys, history: keys.dead },
      restKeys: [...writes.map(([, name]) => String(name)), mails.stream, mails.delayed, mails.bodies, mails.alive],
      args: {
        run: '',
        ...{ group: GROUP, consumer, id, task, deliveries, side: keys.side, join, inboxes: ':~inbox:0:' },
        ...{ timestamp: '1700000000', meta: '', outcome: '', text: '', writes: writes.length },
      },
      rest: [
        ...writes.flatMap((words) => [words.length, ...words]),
        ...next.flatMap(({ payload, delayMs = 0, runAtMs = -1, handle = '' }) => {
          const { stream, delayed, bodies, alive } = mails;
          return [stream, delayed, bodies, alive, handle, payload, '', delayMs, runAtMs];
        }),
      ],
    });
  };

  /** What a commit of these writes answers. If it is refused, the task is still pending, and nothing has changed. */
  readonly tryWrites = async (writes: readonly Words[]): Promise<Commit> => {
    const id = await this.pendingTask(ME);
    const before = await this.#dump();
    const answer = await this.commit(id, writes);
    const pending = await this.pending();
    if (answer.how === 'done') expect(pending).toEqual({});
    else {
      expect(Object.keys(pending)).toEqual([id]);
      expect(await this.#dump()).toEqual(before);
      await this.admin.xack(this.keys.stream, GROUP, id);
    }
    return answer;
  };

  /** All keys but the queue's. */
  async #dump(): Promise<Record<string, string>> {
    const all = (await this.admin.keys('*')).filter((name) => name !== this.keys.stream).sort();
    const values = await Promise.all(all.map(async (name) => [name, String(await this.admin.dumpBuffer(name))]));
    return Object.fromEntries(values) as Record<string, string>;
  }
}
