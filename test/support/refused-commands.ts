import { it } from '@jest/globals';
import type { Redis } from 'ioredis';

/** What the managed service refuses with whose rights these specs run (`npm run test:topologies -- profiles`). */
const refused = (process.env['SLUICE_TEST_RULE'] ?? '')
  .split(' ')
  .filter((word) => word.startsWith('-'))
  .map((word) => word.slice(1));

/** Whether the service refuses this command: `client|kill`. */
export const isRefused = (command: string): boolean =>
  refused.includes(command) || refused.includes(command.split('|')[0]!);

/**
 * For a test of what Sluice does with these commands, which does something else without them. It is skipped where one of them is
 * refused, and `npm run test:topologies` prints it.
 *
 * @param test what the test is where all of them may be used: `itOnOneServer`
 */
export const itWith = (
  commands: readonly string[],
  test: typeof it | typeof it.skip = it,
): typeof it | typeof it.skip => (commands.some(isRefused) ? it.skip : test);

/** For a test that takes rights from the default user. It is skipped where Sluice logs in as another one. */
export const itAsDefaultUser = process.env['SLUICE_TEST_TOPOLOGY'] === 'acl' ? it.skip : it;

/** What `work` gives while the default user lacks the right to a command. */
export async function withoutRight<T>(admin: Redis, command: string, work: () => Promise<T>): Promise<T> {
  await admin.call('ACL', 'SETUSER', 'default', `-${command}`);
  try {
    return await work();
  } finally {
    await admin.call('ACL', 'SETUSER', 'default', `+${command}`);
  }
}
