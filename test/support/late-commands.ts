import type { Redis } from 'ioredis';
import { until } from './until.js';

/** The ids of the connections that Redis has. */
export async function connectionsOf(admin: Redis): Promise<ReadonlySet<string>> {
  return new Set([...String(await admin.client('LIST')).matchAll(/^id=(\d+) /gm)].map(([, id]) => id!));
}

/**
 * Resolves when Redis has no connection but these. What a process had sent when it was killed may be executed after its end. By now
 * it is, and what is counted from here on stays as it is.
 */
export async function untilNoneBut(known: ReadonlySet<string>, admin: Redis): Promise<void> {
  await until(async () => [...(await connectionsOf(admin))].every((id) => known.has(id)), {
    what: 'all that the dead process had sent is executed',
  });
}
