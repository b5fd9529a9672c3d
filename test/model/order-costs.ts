import { consumerName, gateKeys, queueKeys, retryKeys } from '../../libs/queue/store/queue.keys.js';
import { ackKeyedScript, endedTasks } from '../../libs/queue/store/scripts/ack-keyed.script.js';
import { healKeysScript } from '../../libs/queue/store/scripts/heal-keys.script.js';
import { endOrderScript, useOrderScript } from '../../libs/queue/store/scripts/use-order.script.js';
import { Keyspace, type Link } from '../../libs/redis/index.js';
import { GROUP, task, type QueueScriptBed } from '../support/queue-script-bed.js';
import { count } from '../support/queue-state.js';
import type { Growth, Prepare } from '../support/script-costs.js';

type Row = readonly [name: string, of: string, growth: Growth, prepare: Prepare];

const ME = consumerName('me');
const PARKED = consumerName('~parked');

/**
 * The commands of the scripts of ordered queues, against the number of something.
 *
 * @param runs the same bed, for scripts: in the build of apps, the types of `bed` are those of the package
 */
export function orderCosts(bed: QueueScriptBed, runs: { readonly link: Link }): readonly Row[] {
  const space = new Keyspace();
  const keys = queueKeys(space, 'tasks');
  const own = retryKeys(space, 'tasks', GROUP);
  const gates = gateKeys(space, keys, GROUP);
  /** For each of `of` keys one task that runs, and `behind` that wait. Resolves to those that run. */
  const keyed = async (of: number, behind: number): Promise<string[]> => {
    await bed.admin.xgroup('CREATE', keys.stream, GROUP, '0', 'MKSTREAM');
    const running: string[] = [];
    for (const key of count(of)) {
      const field = `key ${String(key).padStart(6, '0')}`;
      for (const n of count(1 + behind)) {
        const id = (await bed.admin.xadd(keys.stream, '*', ...task(), 'ordering_key', field))!;
        await bed.admin.xreadgroup('GROUP', GROUP, n === 0 ? ME : PARKED, 'STREAMS', keys.stream, '>');
        const [ms = '', seq = ''] = id.split('-');
        if (n > 0) await bed.admin.zadd(gates.line, 0, `${field}\0${ms.padStart(20, '0')}${seq.padStart(20, '0')}`);
        else {
          await bed.admin.hset(gates.gates, field, id);
          running.push(id);
        }
      }
    }
    return running;
  };
  const told = { side: keys.side, inboxes: ':~inbox:0:' };
  const ack = (ids: readonly string[]): (() => Promise<unknown>) => {
    const ended = ids.map((id, i) => ({ id, deliveries: 1, taskId: id, key: `key ${String(i).padStart(6, '0')}` }));
    const { rest, ...tasks } = endedTasks(ended.toReversed());
    const args = {
      group: GROUP,
      consumer: ME,
      opensMost: ids.length,
      perKey: 1,
      ...told,
      ...{ meta: '', kind: '', text: '' },
      ...tasks,
    };
    return () =>
      ackKeyedScript.run(runs.link, { keys: { ...keys, ...gates, other: own.stream, history: keys.dead }, args, rest });
  };
  const heal = (): Promise<unknown> => {
    const others = { other: own.stream, otherDelayed: own.delayed, otherIndex: own.index };
    const args = { group: GROUP, consumer: ME, ...told, everyMs: 0, cursor: '', perKey: 1, keyPath: '', key: '' };
    return healKeysScript.run(runs.link, { keys: { ...keys, ...gates, ...others }, args });
  };
  const groups = async (n: number): Promise<void> => {
    for (const i of count(n)) await bed.admin.xgroup('CREATE', keys.stream, `group ${i}`, '0', 'MKSTREAM');
  };
  return [
    ['queue:ack-keyed', 'tasks that it settles', 'linear', async (n) => ack(await keyed(n, 1))],
    ['queue:ack-keyed', 'tasks that it settles, if none waits', 'bounded', async (n) => ack(await keyed(n, 0))],
    ['queue:ack-keyed', 'tasks that wait for the key', 'bounded', async (n) => ack(await keyed(1, n))],
    [
      'queue:heal-keys',
      'tasks that wait for keys',
      'bounded',
      async (n) => {
        await keyed(3, n);
        return heal;
      },
    ],
    [
      'queue:use-order',
      'leases',
      'bounded',
      async (n) => {
        for (const i of count(n)) await bed.admin.zadd(keys.alive, i, `consumer ${i}`);
        return () => useOrderScript.run(runs.link, { keys, args: { feature: 'order', release: '1' } });
      },
    ],
    [
      'queue:end-order',
      'groups',
      'linear',
      async (n) => {
        await groups(n);
        return () => endOrderScript.run(runs.link, { keys, args: { side: keys.side } });
      },
    ],
  ];
}
