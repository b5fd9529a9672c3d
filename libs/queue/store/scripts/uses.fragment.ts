import { usesFragment } from '../../../redis/index.js';

/** The feature of queues whose tasks run in the order of their keys. */
export const ORDER = 'order';

/** The feature of queues of which some handlers run so many tasks of a key at a time. */
export const PLACES = 'places';

/** The feature of queues of which some handlers start so many tasks of a key in a time. */
export const PACES = 'paces';

/**
 * The features whose data this release knows, and may therefore move, settle and delete.
 *
 * @see docs/internals/versions.md
 */
export const QUEUE_USES = usesFragment([ORDER, PLACES, PACES]);

/**
 * For the scripts that tell a process of features before it joins a queue, and with each lease: they name all of them. A process
 * whose handler is not ordered must leave an ordered queue alone, although its release knows what that is.
 */
export const LEASE_USES = usesFragment([]);
