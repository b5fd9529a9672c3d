import type { Clock } from './time/clock.js';

/** By then a main.ts has called `app.enableShutdownHooks()`: a standalone app can do so only when its boot is over. */
const LOOK_AFTER_MS = 5_000;

/** The warning for an app that handles tasks. */
export interface ShutdownHooksLog {
  warn(message: string): void;
  log(message: string): void;
}

/** Looks, some seconds after the boot, whether a SIGTERM closes the app. Returns a function that calls the look off. */
export function checkShutdownHooksLater(clock: Clock, logger: ShutdownHooksLog): () => void {
  return clock.timer(LOOK_AFTER_MS, () => {
    const listeners = process.listeners('SIGTERM');
    if (listeners.length === 0) {
      logger.warn(
        'Tasks are handled, but shutdown hooks are off: a SIGTERM ends the process in the middle of tasks, which then run again elsewhere. ' +
          'Call app.enableShutdownHooks() in main.ts',
      );
    } else if (!listeners.some(isOfNest)) {
      logger.log(
        "SIGTERM has listeners, but none of them is Nest's. One of them has to call app.close(), so that running tasks finish; " +
          'app.enableShutdownHooks() in main.ts does it',
      );
    }
  });
}

/**
 * Nest does not say whether its hooks are on. Its listener uses one of these members of the app, whose names no minifier changes.
 */
function isOfNest(listener: NodeJS.SignalsListener): boolean {
  return /callDestroyHook|receivedSignal/.test(Function.prototype.toString.call(listener));
}
