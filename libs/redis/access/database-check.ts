import type { Link } from '../connection/link.js';
import { isReplyError } from '../redis.errors.js';

/**
 * Why the database of the options cannot be used, with the fix; undefined if it can. ioredis stays at database 0 when SELECT is
 * refused: all data would stand there, among that of other apps.
 */
export async function databaseFault(link: Link): Promise<string | undefined> {
  const { db = 0 } = link.client.options;
  if (db === 0) return undefined;
  try {
    await link.send('select', [db], { quiet: true });
    return undefined;
  } catch (error) {
    // The server is gone again. The next command reports it.
    if (!isReplyError(error, '')) return undefined;
    const fix = 'Leave db out and use namespace instead, or grant SELECT to the user';
    return `db is ${db}, and the server refused SELECT: ${(error as Error).message}. ${fix}`;
  }
}
