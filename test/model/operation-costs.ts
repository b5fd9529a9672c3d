import type { Redis } from 'ioredis';
import { Keyspace, type Link } from '../../libs/redis/index.js';
import { consumerName, queueKeys, RELEASED } from '../../libs/queue/store/queue.keys.js';
import { cancellationsScript, cancelScript } from '../../libs/queue/store/scripts/cancel.script.js';
import { purgeDelayedScript, purgeWaitingScript } from '../../libs/queue/store/scripts/purge.script.js';
import { runNowScript } from '../../libs/queue/store/scripts/run-now.script.js';
import { runningScript } from '../../libs/queue/store/scripts/running.script.js';
import type { Growth, Prepare } from '../support/script-costs.js';

const GROUP = 'sluice';
const count = (n: number): number[] => Array.from({ length: n }, (_, i) => i);

type Row = readonly [name: string, of: string, growth: Growth, prepare: Prepare];

/** The commands of the scripts of operations, against the number of something. */
export function operationCosts(bed: { admin: Redis; link: Link }): readonly Row[] {
  const keys = queueKeys(new Keyspace(), 'tasks');
  const group = (): Promise<unknown> => bed.admin.xgroup('CREATE', keys.stream, GROUP, '0', 'MKSTREAM');
  const waiting = (n: number): Promise<unknown> =>
    Promise.all(count(n).map((i) => bed.admin.xadd(keys.stream, '*', 'payload', String(i), 'meta', '')));
  const delayed = (n: number): Promise<unknown> =>
    Promise.all(count(n).map((i) => bed.admin.zadd(keys.delayed, 4_000_000_000_000, `task-${i}`)));
  const purge = (steps: number): Promise<unknown> => {
    const args = { group: GROUP, released: RELEASED, after: '', to: '', count: steps, side: keys.side };
    return purgeWaitingScript.run(bed.link, { keys, args });
  };

  return [
    [
      'queue:purge-waiting',
      'tasks that one step removes',
      'linear',
      async (n) => {
        await group();
        await waiting(n);
        return () => purge(n);
      },
    ],
    [
      'queue:purge-waiting',
      'tasks that wait behind the step',
      'bounded',
      async (n) => {
        await group();
        await waiting(n);
        return () => purge(5);
      },
    ],
    [
      'queue:purge-delayed',
      'tasks that one step removes',
      'linear',
      async (n) => {
        await delayed(n);
        return () => purgeDelayedScript.run(bed.link, { keys, args: { count: n, side: keys.side } });
      },
    ],
    [
      'queue:purge-delayed',
      'tasks that are delayed behind the step',
      'bounded',
      async (n) => {
        await delayed(n);
        return () => purgeDelayedScript.run(bed.link, { keys, args: { count: 5, side: keys.side } });
      },
    ],
    [
      'queue:run-now',
      'delayed tasks',
      'bounded',
      async (n) => {
        await delayed(n);
        const args = { handle: 'task-0', target: keys.stream, inboxes: ':~inbox:0:' };
        return () => runNowScript.run(bed.link, { keys, args });
      },
    ],
    [
      'queue:running',
      'consumers with tasks',
      'linear',
      async (n) => {
        await group();
        await waiting(n);
        for (const i of count(n)) {
          await bed.admin.xreadgroup('GROUP', GROUP, consumerName(`c${i}`), 'COUNT', 1, 'STREAMS', keys.stream, '>');
        }
        return () => runningScript.run(bed.link, { keys, args: {} });
      },
    ],
    [
      'queue:cancel',
      'tasks that wait',
      'bounded',
      async (n) => {
        await group();
        await waiting(n);
        const [id = ''] = (await bed.admin.xrange(keys.stream, '-', '+', 'COUNT', 1)).map(([first]) => first);
        const args = { group: GROUP, id, inboxes: ':~inbox:0:' };
        return () => cancelScript.run(bed.link, { keys, args });
      },
    ],
    [
      'queue:cancellations',
      'marks that it looks at',
      'linear',
      async (n) => {
        await group();
        await Promise.all(count(n).map((i) => bed.admin.zadd(keys.cancelled, i, `${i}-1 ${GROUP}`)));
        const args = { group: GROUP, consumer: consumerName('c'), from: 0, count: n };
        return () => cancellationsScript.run(bed.link, { keys, args });
      },
    ],
  ];
}
