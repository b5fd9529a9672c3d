/** What is compared, each at what its own documentation lays out for several processes. */
import type { Contender } from '../../../test/support/interleavings/rival.js';

/** A column of the table. */
export interface Column extends Contender {
  /** The npm package. */
  package: string;
  settings: string;
}

const PER_PROCESS = 'loads are shared within a process';

export const COLUMNS = [
  {
    name: 'Sluice',
    package: 'nestjs-sluice',
    settings: 'defaults, except `readTimeoutMs: 5_000`: a delayed answer must not be taken for a Redis that is down',
    lacks: {},
  },
  {
    name: 'bentocache',
    package: 'bentocache',
    settings: 'memory and Redis tiers with the Redis bus, as its guide lays them out',
    lacks: { 'one load for all processes': PER_PROCESS },
  },
  {
    name: 'cache-manager',
    package: 'cache-manager',
    settings: 'a Keyv in memory before a Keyv on @keyv/redis, as its README lays them out',
    lacks: {
      'one load for all processes': PER_PROCESS,
      tags: 'no tags',
      'local copies that hear of changes': 'processes do not tell each other',
    },
  },
  {
    name: 'async-cache-dedupe',
    package: 'async-cache-dedupe',
    settings: 'Redis storage with invalidation by references, as its README lays it out',
    lacks: {
      'one load for all processes': PER_PROCESS,
      'local copies that hear of changes': 'memory or Redis, not both',
    },
  },
] as const satisfies readonly Column[];

export type ColumnName = (typeof COLUMNS)[number]['name'];

/** How long values are kept. */
export const TTL_MS = 60_000;
