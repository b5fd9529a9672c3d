import { defineScript, lua } from '../../../redis/index.js';
import { LEASE_USES } from './uses.fragment.js';

/**
 * Tells whether a queue has data that this release does not know, before a process joins the queue.
 *
 * KEYS  uses
 * ARGV  none
 * Reply the features that are not known, as text (see `unknownUses`); undefined: none
 *
 * Read-only: a crash, a repeat or a reorder changes nothing. A feature that is used for the first time after this script is seen
 * by the renewal that takes the lease.
 */
export const lookScript = defineScript({
  name: 'queue:look',
  keys: ['uses'],
  args: {},
  lua: lua`
${LEASE_USES}
return unknownUses(uses) or ''`,
  decode: (reply) => (reply as string) || undefined,
});
