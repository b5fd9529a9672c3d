import { hash } from 'node:crypto';
import { GenerationalMap, rightsOn, type Keyspace, type Right } from '../../redis/index.js';
import { isWellFormed, show, SluiceError } from '../../weave/index.js';

/** How many subjects are remembered at most. At least half of this number is remembered. */
const REMEMBERED = 20_000;

/** Characters of the subjects in one generation. */
const CHARS_MAX = 1_000_000;

/** Characters of a hash: 132 bits, so that two subjects never share one. */
const HASH_CHARS = 22;

/**
 * The keys of limits: `{shop:rl:<hash of the subject>}:<name of the limit>`. All limits of one subject share a Cluster slot, so
 * one script can ask all of them. The subject is hashed, because it may be an API key or an address.
 */
export class LimitKeys {
  readonly #keyspace: Keyspace;
  readonly #tags = new GenerationalMap<string, string>({
    size: REMEMBERED / 2,
    weightMax: CHARS_MAX,
    weigh: (subject) => subject.length,
  });

  constructor(keyspace: Keyspace) {
    this.#keyspace = keyspace;
  }

  /** @throws SluiceError `SLUICE_BAD_NAME` */
  of(subject: string, names: readonly string[]): string[] {
    const tag = this.#tags.get(subject) ?? this.#tagOf(subject);
    return names.map((name) => tag + name);
  }

  #tagOf(subject: unknown): string {
    if (typeof subject !== 'string' || subject === '' || !isWellFormed(subject)) {
      const message = `the key of a rate limit must be a non-empty string without lone surrogates, got ${show(subject)}`;
      throw new SluiceError('SLUICE_BAD_NAME', message);
    }
    const tag = `${this.#keyspace.tag(`rl:${hash('sha256', subject, 'base64url').slice(0, HASH_CHARS)}`)}:`;
    this.#tags.set(subject, tag);
    return tag;
  }
}

/** What a user needs to run every command and every script of limits. */
export function limitRights(keyspace: Keyspace): Right[] {
  return [['time', ''], ...rightsOn(`${keyspace.tag('rl:any')}:any`, 'del get pttl set')];
}

/** What is used if the user has the right: without it, the number of processes is unknown in an outage. */
export const LIMIT_OPTIONAL: readonly string[] = ['pubsub|channels'];
