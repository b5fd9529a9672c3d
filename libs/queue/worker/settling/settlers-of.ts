import type { Handler } from '../../handlers/handler.registry.js';
import type { ConcurrencyWindow } from '../concurrency-window.js';
import { AckBatcher, type AckBatcherOptions } from './ack-batcher.js';
import { FailureSettler, type FailureSettlerOptions } from './failure-settler.js';

export interface SettlersOptions
  extends Omit<FailureSettlerOptions, 'failedTo' | 'queue' | 'group' | 'options'>, Pick<AckBatcherOptions, 'onAcked'> {
  handler: Handler;
  window: ConcurrencyWindow;
}

/** What settles the tasks of one worker. */
export function settlersOf(given: SettlersOptions): { acks: AckBatcher; failures: FailureSettler } {
  const { queue, failedTo, options } = given.handler;
  const all = { ...given, queue, failedTo, options, group: options.group };
  return { acks: new AckBatcher(all), failures: new FailureSettler(all) };
}
