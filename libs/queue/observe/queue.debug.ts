import { debugLog } from '../../redis/index.js';

/**
 * The debug log, on with `NODE_DEBUG=sluice:queue`: which tasks were delivered, returned, taken over or settled, which leases
 * lapsed, and what was paused, and why. It prints ids, but never payloads.
 */
export const debug = debugLog('queue');
