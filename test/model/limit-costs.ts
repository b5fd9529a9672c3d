import {
  CONSUMER_PREFIX,
  RELEASED,
  consumerName,
  queueKeys,
  rateKeys,
  retryKeys,
} from '../../libs/queue/store/queue.keys.js';
import { takeScript } from '../../libs/queue/store/scripts/take.script.js';
import { Keyspace, type Link } from '../../libs/redis/index.js';
import { GROUP, type QueueScriptBed } from '../support/queue-script-bed.js';
import { QueueState } from '../support/queue-state.js';
import type { Growth, Prepare } from '../support/script-costs.js';

type Row = readonly [name: string, of: string, growth: Growth, prepare: Prepare];

const ME = consumerName('me');
const LEASE_MS = 60_000;
const MANY = 1_000_000;

/**
 * The commands of the script for handlers with limits of the fleet, against the number of something.
 *
 * @param runs the same bed, for scripts: in the build of apps, the types of `bed` are those of the package
 */
export function limitCosts(bed: QueueScriptBed, runs: { readonly link: Link }): readonly Row[] {
  const keys = queueKeys(new Keyspace(), 'tasks');
  const other = retryKeys(new Keyspace(), 'tasks', GROUP).stream;
  const state = new QueueState(bed, keys);
  const take = async (): Promise<() => Promise<unknown>> => {
    const now = await bed.serverMs();
    await bed.admin.zadd(keys.alive, now + LEASE_MS, ME);
    const lease = { leaseMs: LEASE_MS, sinceMs: now - LEASE_MS, endsMs: now + LEASE_MS / 2 };
    const own = {
      capacity: MANY,
      maxDeliveries: 5,
      alone: 0,
      foreignIdleMs: 0,
      released: RELEASED,
      prefix: CONSUMER_PREFIX,
    };
    const limits = { limit: MANY, perMs: 1_000, graceMs: 20, usualMs: 20, fleet: MANY, readMost: MANY };
    const told = { publishes: '', side: keys.side, inboxes: ':~inbox:0:' };
    const args = { group: GROUP, consumer: ME, ...lease, ...own, ...told, ...limits };
    const all = { ...keys, ...rateKeys(new Keyspace(), keys, GROUP), other, failedTo: keys.dead };
    return () =>
      takeScript.run(runs.link, { keys: { ...all, history: keys.dead }, args: { ...args, keep: 0, level: '-' } });
  };
  return [
    [
      'queue:take',
      'new tasks that it gives',
      'bounded',
      async (n) => {
        await state.waiting(n);
        return take();
      },
    ],
    [
      'queue:take',
      'tasks that it takes over',
      'linear',
      async (n) => {
        await state.pending(n, consumerName('dead'));
        return take();
      },
    ],
    [
      'queue:take',
      'consumers',
      'linear',
      async (n) => {
        await state.group();
        await state.consumers(n, consumerName('living-'), LEASE_MS);
        await state.consumers(n, consumerName('dead-'), -1);
        return take();
      },
    ],
  ];
}
