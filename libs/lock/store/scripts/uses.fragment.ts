import { usesFragment } from '../../../redis/index.js';

/**
 * The features whose data this release knows, so that it may grant the lock and hand it over. None needs a name yet.
 *
 * @see docs/internals/versions.md
 */
export const LOCK_USES = usesFragment([]);
