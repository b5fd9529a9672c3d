import type { Link } from '../../../redis/index.js';
import { takeByRateScript } from '../../store/scripts/take-by-rate.script.js';
import { takeScript, type Taken } from '../../store/scripts/take.script.js';
import { ORDER, PLACES } from '../../store/scripts/uses.fragment.js';
import { takeOverArgs } from '../control/take-over.js';
import type { Worker } from '../worker.js';
import type { FleetLimits, LimitArgs, OrderKeys } from './fleet-limits.js';

export interface TakeCall {
  readonly link: Link;
  readonly consumer: string;
  /** The prefix of the names of inboxes. */
  readonly inboxes: string;
  readonly args: LimitArgs;
  /** The most new tasks that the reply may bring. */
  readonly readMost: number;
}

/** Asks for as many tasks as a worker and its limits have room for, with the script that knows these limits. */
export function sendTake(
  worker: Worker,
  limits: FleetLimits,
  { link, consumer, inboxes, args: limitArgs, readMost }: TakeCall,
): Promise<Taken> {
  const { keys: own, handler } = worker;
  const { order, keyRate } = limits;
  const keys = {
    ...own,
    ...limits.keys,
    other: limits.other(own.stream),
    failedTo: handler.failedTo ?? own.dead,
    history: worker.records.keys.failed,
  };
  const args = { ...takeOverArgs(worker, consumer, inboxes), ...limitArgs, readMost };
  const ordered = order && { restKeys: [order.gates, order.line], rest: orderArgs(order) };
  if (keyRate === undefined) return takeScript.run(link, { keys, args, ...ordered });
  return takeByRateScript.run(link, {
    keys: { ...keys, ...keyRate.keysOf(own.stream) },
    args: { ...args, ratePath: keyRate.path },
    ...ordered,
  });
}

function orderArgs({ closes, places, keyPath }: OrderKeys): (string | number)[] {
  return [closes, places, keyPath, keyPath === '' ? ORDER : PLACES];
}
