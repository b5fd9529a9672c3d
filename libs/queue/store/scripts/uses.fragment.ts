import { usesFragment } from '../../../redis/index.js';

/**
 * The features whose data this release knows, and may therefore move, settle and delete. None needs a name yet.
 *
 * @see docs/internals/versions.md
 */
export const QUEUE_USES = usesFragment([]);
