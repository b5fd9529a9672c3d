import type { Handler } from '../../handlers/handler.registry.js';
import type { FleetLimits } from '../admission/fleet-limits.js';
import type { ConcurrencyWindow } from '../concurrency-window.js';
import type { RunRecords } from '../../history/run-records.js';
import { CommitSender, type CommitSenderOptions } from '../../notes/commit-sender.js';
import type { KeptRoom } from '../ordered/kept-room.js';
import { OrderedAcks } from '../ordered/ordered-acks.js';
import { AckBatcher, type AckBatcherOptions } from './ack-batcher.js';
import { FailureSettler, type FailureSettlerOptions } from './failure-settler.js';

export interface SettlersOptions
  extends
    Omit<FailureSettlerOptions, 'failedTo' | 'queue' | 'group' | 'options' | 'order'>,
    Pick<AckBatcherOptions, 'onAcked'>,
    Pick<CommitSenderOptions, 'onDelayed'> {
  handler: Handler;
  window: ConcurrencyWindow;
  limits?: FleetLimits | undefined;
  room: KeptRoom;
  records: RunRecords;
}

/** What settles the tasks of one worker. */
export interface Settlers {
  readonly acks: AckBatcher;
  readonly commits: CommitSender;
  readonly failures: FailureSettler;
  /** Undefined: the queue is not ordered. */
  readonly ordered: OrderedAcks | undefined;
}

export function settlersOf(given: SettlersOptions): Settlers {
  const { queue, failedTo, options, noting } = given.handler;
  const all = { ...given, queue, failedTo, options, group: options.group, keyspace: noting.keyspace };
  const commits = new CommitSender(all);
  const { limits, keys } = given;
  const order = limits?.order;
  if (order === undefined) {
    return { acks: new AckBatcher(all), commits, failures: new FailureSettler(all), ordered: undefined };
  }
  const other = limits?.other(keys.stream) ?? keys.stream;
  const ordered = new OrderedAcks({ ...all, other, order });
  return {
    acks: new AckBatcher({ ...all, ordered }),
    commits,
    failures: new FailureSettler({ ...all, order: { ...order, other } }),
    ordered,
  };
}
