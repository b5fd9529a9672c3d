import { debugLog } from '../../redis/index.js';

/** On with `NODE_DEBUG=sluice:cache`: which load was granted, waits or was refused, and why. Keys are printed, values never. */
export const debug = debugLog('cache');
