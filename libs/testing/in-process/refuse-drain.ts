import { SluiceError } from '../../weave/index.js';

/** @throws SluiceError `SLUICE_APP_NOT_INITIALISED`: handlers are found while the app initialises */
export function refuseBeforeInit(isInitialised: boolean): void {
  if (isInitialised) return;
  throw new SluiceError(
    'SLUICE_APP_NOT_INITIALISED',
    'TestingQueue.drain() ran no task: the app is not initialised, and its handlers are not known. Call await app.init() first',
  );
}

interface OfQueue {
  readonly queue: string;
}

/**
 * @param left the tasks that are due and were not run
 * @throws SluiceError `SLUICE_QUEUE_NO_HANDLER`, which names the queues
 */
export function refuseUnhandled(left: readonly OfQueue[], handlers: readonly OfQueue[]): void {
  const handled = new Set(handlers.map(({ queue }) => queue));
  const unhandled = new Set(left.flatMap(({ queue }) => (handled.has(queue) ? [] : [queue])));
  if (unhandled.size === 0) return;
  throw new SluiceError(
    'SLUICE_QUEUE_NO_HANDLER',
    `TestingQueue.drain() has tasks left that no provider of this app handles, in ${quoted(unhandled)}. Queues with a @TaskHandler: ` +
      `${quoted(handled) || 'none'}. Provide the handler's class in the test, or assert on published()`,
  );
}

const quoted = (queues: ReadonlySet<string>): string => [...queues].map((queue) => `'${queue}'`).join(', ');
