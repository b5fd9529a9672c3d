import { Keyspace, type Link } from '../../libs/redis/index.js';
import {
  CONSUMER_PREFIX,
  PACED,
  PARKED,
  RELEASED,
  gateKeys,
  keyRateKeys,
  queueKeys,
  rateKeys,
  retryKeys,
} from '../../libs/queue/store/queue.keys.js';
import { healRatesScript, type HealedRates } from '../../libs/queue/store/scripts/heal-rates.script.js';
import { returnUnstartedScript } from '../../libs/queue/store/scripts/return-unstarted.script.js';
import { takeByRateScript } from '../../libs/queue/store/scripts/take-by-rate.script.js';
import type { Taken } from '../../libs/queue/store/scripts/take.script.js';
import { GROUP, QueueScriptBed, task } from '../support/queue-script-bed.js';

export const ME = `${CONSUMER_PREFIX}me`;
export const OTHER = `${CONSUMER_PREFIX}other`;
/** No test lasts so long. */
export const LONG_MS = 3_600_000;
const LEASE_MS = 60_000;
const space = new Keyspace();
export const keys = queueKeys(space, 'tasks');
export const retries = retryKeys(space, 'tasks', GROUP);
export const rates = keyRateKeys(space, keys, GROUP);
export const ofRetries = keyRateKeys(space, keys, GROUP, true);
export const gates = gateKeys(space, keys, GROUP);
export const { rate, grace } = rateKeys(space, keys, GROUP);

type TakeNumber =
  'capacity' | 'maxDeliveries' | 'alone' | 'limit' | 'perMs' | 'graceMs' | 'usualMs' | 'fleet' | 'readMost' | 'sinceMs';

export interface TakeOver extends Partial<Record<TakeNumber, number>> {
  /** From the group's own retries. */
  readonly own?: boolean;
  readonly consumer?: string;
  readonly ratePath?: string;
  /** So many tasks of a key at a time as well. */
  readonly places?: number;
}

export interface HealOver {
  readonly own?: boolean;
  readonly everyMs?: number;
  readonly ratePath?: string;
  readonly cursor?: string;
}

/** A queue whose keys have rates, and whose scripts are run by themselves. */
export class RatedScriptBed extends QueueScriptBed {
  constructor() {
    super(keys.stream);
  }

  /** In the build of apps, the types of a bed are those of the package. */
  get #runs(): Link {
    const link: unknown = this.link;
    return link as Link;
  }

  /** The feature has been in use for long. */
  readonly declare = async (since = 1): Promise<void> => {
    await this.admin.hset(keys.uses, 'paces', `0.1.0 ${since}`, 'places', '0.1.0 1');
  };

  readonly lease = async (consumer: string, ms = LEASE_MS): Promise<void> => {
    await this.admin.zadd(keys.alive, (await this.serverMs()) + ms, consumer);
  };

  /** Adds entries whose payloads have these at `of`; '' is none. Resolves to their ids. */
  readonly publish = async (of: readonly string[], { own = false } = {}): Promise<string[]> => {
    const ids: string[] = [];
    for (const key of of) {
      const payload = JSON.stringify(key === '' ? {} : { of: key });
      ids.push((await this.admin.xadd(own ? retries.stream : keys.stream, '*', ...task(payload)))!);
    }
    return ids;
  };

  /** Takes as a process whose lease has been unbroken for long: 2 starts of each key in an hour. */
  readonly take = async (over: TakeOver = {}): Promise<Taken> => {
    await this.lease(over.consumer ?? ME);
    return this.takeAlone(over);
  };

  readonly takeAlone = async (over: TakeOver = {}): Promise<Taken> => {
    const { own = false, consumer = ME, ratePath = 'of', places, ...args } = over;
    const now = await this.serverMs();
    const [here, other, line] = own ? [retries, keys, ofRetries] : [keys, retries, rates];
    return takeByRateScript.run(this.#runs, {
      keys: { ...here, ...line, grace, other: other.stream, failedTo: keys.dead, history: keys.dead },
      args: {
        ...{ group: GROUP, consumer, leaseMs: LEASE_MS, sinceMs: now - LEASE_MS, endsMs: now + LEASE_MS / 2 },
        ...{ capacity: 100, maxDeliveries: 5, alone: 0, foreignIdleMs: 0, released: RELEASED, prefix: CONSUMER_PREFIX },
        ...{ publishes: '', side: keys.side, inboxes: ':~inbox:0:', ratePath, keep: 0, level: '-' },
        ...{ limit: 2, perMs: LONG_MS, graceMs: 10, usualMs: 10, fleet: 0, readMost: 100, ...args },
      },
      ...(places !== undefined && { restKeys: [gates.gates, gates.line], rest: [0, places, 'of', 'places'] }),
    });
  };

  /** Returns what did not start here; `ofAll`: the rate is one of all tasks. */
  readonly returnUnstarted = (ids: readonly string[], { limit = 2, ofAll = false } = {}): Promise<string[]> =>
    returnUnstartedScript.run(this.#runs, {
      keys: { stream: keys.stream, alive: keys.alive, grace, rate: ofAll ? rate : rates.rates },
      args: {
        ...{ group: GROUP, consumer: ME, released: RELEASED, inboxes: ':~inbox:0:' },
        ...{ limit, perMs: LONG_MS, graceMs: 10, ratePath: ofAll ? '' : 'of' },
      },
      ...(!ofAll && { restKeys: [rates.rateEnds, rates.rateDue] }),
      rest: ids,
    });

  /** Resolves to what was healed. */
  readonly heal = async (over: HealOver = {}): Promise<number> => {
    let [cursor, healed] = ['', 0];
    do {
      const answer = await this.healOnce({ ...over, cursor });
      healed += answer.healed;
      ({ cursor } = answer);
    } while (cursor !== '');
    return healed;
  };

  readonly healOnce = ({
    own = false,
    everyMs = 0,
    ratePath = 'of',
    cursor = '',
  }: HealOver = {}): Promise<HealedRates> =>
    healRatesScript.run(this.#runs, {
      keys: { ...(own ? retries : keys), ...(own ? ofRetries : rates) },
      args: { group: GROUP, side: keys.side, inboxes: ':~inbox:0:', everyMs, cursor, ratePath },
    });

  /** All windows are over. */
  readonly lapse = (): Promise<number> => this.admin.del(rates.rates, rates.rateEnds);

  /** Somebody has to come for the key now. */
  readonly makeDue = (key: string, at = 1): Promise<unknown> => this.admin.zadd(rates.rateDue, at, key);

  /** The group, where a test has deleted all. */
  readonly open = (): Promise<unknown> => this.admin.xgroup('CREATE', keys.stream, GROUP, '0', 'MKSTREAM');

  /** Key → the entries in its line. */
  readonly lines = async (line = rates.rateLine): Promise<Record<string, string[]>> => {
    const found: Record<string, string[]> = {};
    for (const place of await this.admin.zrange(line, '0', '-1')) {
      const at = place.lastIndexOf('\0');
      const id = place.slice(at + 1);
      const [ms, seq] = [id.slice(0, 20), id.slice(20, 40)].map((digits) => digits.replace(/^0+(?=\d)/, ''));
      (found[place.slice(0, at)] ??= []).push(`${ms}-${seq}${id.slice(40)}`);
    }
    return found;
  };

  /** Who has which entries. */
  readonly owned = async (stream = keys.stream): Promise<Record<string, string[]>> => {
    const rows = (await this.admin.xpending(stream, GROUP, '-', '+', 10_000)) as [string, string, number, number][];
    const found: Record<string, string[]> = {};
    for (const [id, consumer] of rows) (found[consumer] ??= []).push(id);
    return found;
  };

  /** The keys that are due, in the order in which somebody has to come for them. */
  readonly due = (dueOf = rates.rateDue): Promise<string[]> => this.admin.zrange(dueOf, '0', '-1');
}

export { GROUP, PACED, PARKED, RELEASED };
