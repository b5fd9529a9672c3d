import type { Redis } from 'ioredis';
import { Keyspace, type Link } from '../../libs/redis/index.js';
import { queueKeys } from '../../libs/queue/store/queue.keys.js';
import { commitScript } from '../../libs/queue/store/scripts/commit.script.js';
import { GROUP } from '../support/queue-script-bed.js';
import type { Growth, Prepare } from '../support/script-costs.js';

type Row = readonly [name: string, of: string, growth: Growth, prepare: Prepare];

const count = (n: number): number[] => Array.from({ length: n }, (_, i) => i);

/** The commands of an acknowledgement with notes, against the number of something. */
export function commitCosts(bed: { admin: Redis; link: Link }): readonly Row[] {
  const keys = queueKeys(new Keyspace(), 'tasks');
  const next = queueKeys(new Keyspace(), '{tasks}.next');
  /** Acknowledges one of some tasks with so many notes. */
  const commit = async (tasks: number, writes: number, published: number): Promise<() => Promise<unknown>> => {
    for (const i of count(tasks)) await bed.admin.xadd(keys.stream, '*', 'payload', i);
    await bed.admin.xgroup('CREATE', keys.stream, GROUP, '0', 'MKSTREAM');
    await bed.admin.xreadgroup('GROUP', GROUP, 'me', 'STREAMS', keys.stream, '>');
    const [[id]] = (await bed.admin.xpending(keys.stream, GROUP, '-', '+', 1)) as [[string]];
    const { stream, delayed, bodies, alive } = next;
    return () =>
      commitScript.run(bed.link, {
        keys: { ...keys, history: keys.dead },
        args: {
          run: '',
          ...{ group: GROUP, consumer: 'me', id, task: id, deliveries: 1, side: keys.side, join: '', meta: '' },
          ...{ inboxes: ':~inbox:0:', timestamp: '1700000000', outcome: '', text: '', writes },
        },
        rest: [
          ...count(writes).flatMap((i) => [3, 'incrby', `{tasks}:${i}`, 1]),
          ...count(published).flatMap((i) => [stream, delayed, bodies, alive, `next-${i}`, '1', '', 1_000 + i, -1]),
        ],
      });
  };
  return [
    ['queue:commit', 'tasks in the stream', 'bounded', (n) => commit(n, 1, 1)],
    ['queue:commit', 'writes', 'linear', (n) => commit(1, n, 0)],
    ['queue:commit', 'tasks that follow', 'linear', (n) => commit(1, 0, n)],
  ];
}
