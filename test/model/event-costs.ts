import type { Redis } from 'ioredis';
import { Keyspace, type Link } from '../../libs/redis/index.js';
import { progressKey, queueKeys } from '../../libs/queue/store/queue.keys.js';
import { observeScript } from '../../libs/queue/store/scripts/observe.script.js';
import { reportProgressScript } from '../../libs/queue/store/scripts/report-progress.script.js';
import type { Growth, Prepare } from '../support/script-costs.js';

const count = (n: number): number[] => Array.from({ length: n }, (_, i) => i);

type Row = readonly [name: string, of: string, growth: Growth, prepare: Prepare];

/** The commands of the scripts of events and progress, against the number of something. */
export function eventCosts(bed: { admin: Redis; link: Link }): readonly Row[] {
  const keys = queueKeys(new Keyspace(), 'tasks');
  const inboxes = ':~inbox:0:';
  return [
    [
      'queue:observe',
      'processes that work on the queue, when the first one listens',
      'linear',
      async (n) => {
        for (const i of count(n)) await bed.admin.zadd(keys.alive, Date.now() + 600_000, `sluice:process-${i}`);
        const { observed, alive } = keys;
        return async () => {
          await bed.admin.del(observed);
          return observeScript.run(bed.link, { keys: { observed, alive }, args: { ttlMs: 60_000, inboxes } });
        };
      },
    ],
    [
      'queue:report-progress',
      'tasks that report',
      'linear',
      (n) => {
        const args = { group: 'sluice', side: keys.side, inboxes };
        const restKeys = count(n).map((i) => progressKey(keys, 'sluice', String(i)));
        const rest = count(n).flatMap((i) => ['1', '', String(i)]);
        return Promise.resolve(() =>
          reportProgressScript.run(bed.link, { keys: { stream: keys.stream }, restKeys, args, rest }),
        );
      },
    ],
  ];
}
