import { debugLog } from '../../redis/index.js';

/**
 * On with `NODE_DEBUG=sluice:queue`: which tasks were delivered, returned, taken over or settled, which leases lapsed, and
 * what was paused, and why. Ids are printed, payloads never.
 */
export const debug = debugLog('queue');
