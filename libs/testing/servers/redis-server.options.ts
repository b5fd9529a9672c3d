import { SluiceError } from '../../weave/index.js';
import type { CertificateAuthority } from './certificate-authority.js';

/** What the servers of all topologies have in common. */
export interface ServerOptions {
  /** Further arguments of `redis-server`. They override those of the fixture. Example: `['--appendonly', 'yes']`. */
  args?: readonly string[];
  /**
   * The server speaks TLS only, with a certificate for localhost. True: from a new authority. Its certificate is
   * `redis.tls.ca`: a client that does not get it does not trust the server. Default: false.
   */
  tls?: boolean | CertificateAuthority;
  /**
   * Users and their ACL rules. Example: `{ shop: 'on >secret ~shop:* &shop:* +@all', default: 'off' }`. Unless `default`
   * is among them, clients without a user have all rights.
   */
  users?: Readonly<Record<string, string>>;
}

export interface StartRedisOptions extends ServerOptions {
  /**
   * True: the server is in cluster mode and owns all slots. It rejects commands and scripts whose keys are in several
   * slots (`CROSSSLOT`), as each node of a Redis Cluster does, and a plain client works with it. It has one database.
   * Of a script, Redis checks the KEYS; further keys only if the script begins with `#!lua`.
   *
   * Default: true if the environment has `SLUICE_TEST_TOPOLOGY=slots`, so that a whole suite can run on such servers.
   */
  slotChecks?: boolean;
}

export function checksSlots({ slotChecks }: StartRedisOptions): boolean {
  return slotChecks ?? topology() === 'slots';
}

/** The users of a server. In the topology `acl`, also the user `restricted` with the password `restricted` and this rule. */
export function usersOf({ users = {} }: ServerOptions): Readonly<Record<string, string>> {
  const { SLUICE_TEST_RULE: rule = '' } = process.env;
  return topology() === 'acl' ? { restricted: `on >restricted ${rule}`, ...users } : users;
}

function topology(): string {
  const { SLUICE_TEST_TOPOLOGY: given = '' } = process.env;
  if (['', 'slots', 'acl'].includes(given)) return given;
  throw new SluiceError('SLUICE_BAD_OPTION', `SLUICE_TEST_TOPOLOGY is "${given}": it can only be "slots" or "acl"`);
}

/** The arguments that define the users. */
export function userArgs(users: Readonly<Record<string, string>> = {}): string[] {
  return Object.entries(users).flatMap(([name, rule]) => ['--user', name, ...rule.trim().split(/\s+/)]);
}
