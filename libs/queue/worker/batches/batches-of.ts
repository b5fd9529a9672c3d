import type { Clock } from '../../../redis/index.js';
import type { Handler } from '../../handlers/handler.registry.js';
import type { ConcurrencyWindow } from '../concurrency-window.js';
import type { Isolation } from '../isolation.js';
import type { TaskRunner } from '../task-runner.js';
import { BatchFormer } from './batch-former.js';
import { BatchRunner } from './batch-runner.js';

/** The worker whose tasks they are. */
export interface BatchingWorker {
  readonly handler: Handler;
  readonly window: ConcurrencyWindow;
  /** Whether tasks may start at all. */
  readonly mayStart: boolean;
}

export interface BatchesOptions {
  clock: Clock;
  isolation: Isolation;
  runner: TaskRunner;
  /** There may be a batch to start. */
  onEnded: () => void;
}

/** What forms and runs the batches of one worker; undefined if its handler takes single tasks. */
export function batchesOf(
  worker: BatchingWorker,
  { clock, isolation, runner, onEnded }: BatchesOptions,
): BatchFormer | undefined {
  const { handler, window } = worker;
  const { batch } = handler.options;
  const { runBatch } = handler;
  if (batch === undefined || runBatch === undefined) return undefined;
  const batches = new BatchRunner({ handler, run: runBatch, clock, runner, onEnded });
  return new BatchFormer({
    ...{ batch, window, isolation, clock, onTime: onEnded },
    mayStart: () => worker.mayStart,
    run: (deliveries) => void batches.run(deliveries),
    deadLetter: (delivery) => void runner.deadLetter(delivery),
  });
}
