import { debuglog } from 'node:util';

/** Writes one line to stderr. Takes what `util.format` takes. */
export type DebugLog = (message: string, ...values: unknown[]) => void;

/**
 * The debug log of one feature: on with `NODE_DEBUG=sluice:<feature>`, else `undefined`.
 *
 * Call it with `?.`: while it is off, nothing is called and no argument is evaluated. `NODE_DEBUG` is read once, by Node, when
 * the process starts; `NODE_DEBUG=sluice:*` shows every feature. Values of the user (payloads, cached values) never go there.
 *
 * @example
 * const debug = debugLog('lock');
 * debug?.('%s granted with token %d', name, token);
 */
export function debugLog(feature: string): DebugLog | undefined {
  const log = debuglog(`sluice:${feature}`);
  return log.enabled ? log : undefined;
}
