import { Keyspace, type Link } from '../../libs/redis/index.js';
import {
  CONSUMER_PREFIX,
  PARKED,
  RELEASED,
  gateKeys,
  queueKeys,
  rateKeys,
  retryKeys,
} from '../../libs/queue/store/queue.keys.js';
import { ackKeyedScript, endedTasks, type KeyedAck } from '../../libs/queue/store/scripts/ack-keyed.script.js';
import { healKeysScript, type HealedKeys } from '../../libs/queue/store/scripts/heal-keys.script.js';
import { settleFailureScript, type Settlement } from '../../libs/queue/store/scripts/settle-failure.script.js';
import { takeScript, type Taken } from '../../libs/queue/store/scripts/take.script.js';
import type { Entry } from '../../libs/queue/store/stream-reply.js';
import { GROUP, QueueScriptBed, task } from '../support/queue-script-bed.js';

export const ME = `${CONSUMER_PREFIX}me`;
export const OTHER = `${CONSUMER_PREFIX}other`;
const LEASE_MS = 60_000;
const space = new Keyspace();
export const keys = queueKeys(space, 'tasks');
export const retries = retryKeys(space, 'tasks', GROUP);
export const gates = gateKeys(space, keys, GROUP);

interface Where {
  readonly own?: boolean;
  readonly consumer?: string;
}

/** An ordered queue whose scripts are run by themselves. */
export class KeyedScriptBed extends QueueScriptBed {
  /** In the build of apps, the types of a bed are those of the package. */
  get #runs(): Link {
    const link: unknown = this.link;
    return link as Link;
  }

  /** How many tasks of a key may run. */
  places = 1;
  /** The member of payloads that is the key; '': entries have a key. */
  keyPath = '';

  constructor() {
    super(keys.stream);
  }

  #keyOf(fields: readonly string[]): string {
    if (this.keyPath === '') return fieldOf(fields, 'ordering_key');
    const payload = JSON.parse(fieldOf(fields, 'payload')) as Record<string, string>;
    return payload[this.keyPath] ?? '';
  }

  /** Adds entries with these keys; '' has none. Resolves to their ids. */
  readonly publish = async (of: readonly string[], { own = false } = {}): Promise<string[]> => {
    const ids: string[] = [];
    for (const key of of) {
      const payload = this.keyPath === '' ? undefined : JSON.stringify({ [this.keyPath]: key });
      const fields = key === '' ? task() : [...task(payload), 'ordering_key', key];
      ids.push((await this.admin.xadd(own ? retries.stream : keys.stream, '*', ...fields))!);
    }
    return ids;
  };

  readonly lease = async (consumer: string, ms = LEASE_MS): Promise<void> => {
    await this.admin.zadd(keys.alive, (await this.serverMs()) + ms, consumer);
  };

  /** The queue is ordered, and has been for long. */
  readonly declare = async (since = 1): Promise<void> => {
    await this.admin.hset(keys.uses, 'order', `0.1.0 ${since}`);
  };

  /** Takes tasks as a process whose lease has been unbroken for long. */
  readonly take = async (
    over: Partial<Record<'capacity' | 'maxDeliveries' | 'fleet' | 'readMost', number>> & {
      stops?: boolean;
    } & Where = {},
  ): Promise<Taken> => {
    const { stops = false, own = false, consumer = ME, ...args } = over;
    await this.lease(consumer);
    const now = await this.serverMs();
    const [here, other] = own ? [retries, keys] : [keys, retries];
    return takeScript.run(this.#runs, {
      keys: { ...here, ...rateKeys(space, keys, GROUP), other: other.stream, failedTo: keys.dead, history: keys.dead },
      args: {
        ...{ keep: 0, level: '-' },
        ...{ group: GROUP, consumer, leaseMs: LEASE_MS, sinceMs: now - LEASE_MS, endsMs: now + LEASE_MS / 2 },
        ...{ capacity: 100, maxDeliveries: 5, alone: 0, foreignIdleMs: 0, released: RELEASED, prefix: CONSUMER_PREFIX },
        ...{ publishes: '', side: keys.side, inboxes: ':~inbox:0:' },
        ...{ limit: 0, perMs: 0, graceMs: 0, usualMs: 0, fleet: 0, readMost: 100, ...args },
      },
      restKeys: [gates.gates, gates.line],
      rest: [stops ? 1 : 0, this.places, this.keyPath],
    });
  };

  /** Acknowledges entries. */
  readonly ack = (
    entries: readonly Entry[],
    { own = false, consumer = ME, room = 0 }: Where & { room?: number } = {},
  ): Promise<KeyedAck> => {
    const [here, other] = own ? [retries, keys] : [keys, retries];
    const ended = entries.map(({ id, deliveries, fields }) => ({
      ...{ id, deliveries, taskId: taskOf(id, fields), key: this.#keyOf(fields) },
    }));
    const { rest, ...tasks } = endedTasks(ended);
    return ackKeyedScript.run(this.#runs, {
      keys: { ...here, ...gates, other: other.stream, history: here.dead },
      args: {
        ...{ group: GROUP, consumer, opensMost: room, perKey: this.places, side: keys.side, inboxes: ':~inbox:0:' },
        ...{ meta: '', kind: '', text: '', ...tasks },
      },
      rest,
    });
  };

  /** Settles a run that failed. */
  readonly fail = async (
    { id, deliveries, fields }: Entry,
    {
      dead = false,
      delayMs = 0,
      stops = false,
      own = false,
      consumer = ME,
    }: { dead?: boolean; delayMs?: number; stops?: boolean } & Where = {},
  ): Promise<Settlement> => {
    const [here, other] = own ? [retries, keys] : [keys, retries];
    const handle = taskOf(id, fields);
    const { as } = await settleFailureScript.run(this.#runs, {
      keys: {
        ...{ ...here, retry: retries.stream, retryDelayed: retries.delayed, retryBodies: retries.bodies },
        ...{ retryIndex: retries.index, failedTo: keys.dead, history: keys.dead },
      },
      args: {
        run: '',
        ...{
          group: GROUP,
          consumer,
          id,
          deliveries,
          attempts: '1',
          meta: JSON.stringify({ id: handle }),
          isDead: dead ? 1 : 0,
        },
        ...{ reason: dead ? 'max-attempts' : '', delayMs, handle, failure: '', stack: '', inboxes: ':~inbox:0:' },
        ...{ publishes: '', isJson: 1, side: keys.side },
      },
      restKeys: [other.stream, gates.gates, gates.line],
      rest: [this.#keyOf(fields), stops ? 1 : 0, this.keyPath === '' ? 1 : 0, this.places],
    });
    return as;
  };

  /** `key`: looks at this one alone, as an operator who knows no number of places. */
  readonly heal = async (everyMs = 0, key?: string): Promise<HealedKeys & { calls: number }> => {
    let [cursor, opened, lined, calls] = ['', 0, 0, 0];
    do {
      const healed = await healKeysScript.run(this.#runs, {
        keys: { ...keys, ...gates, other: retries.stream, otherDelayed: retries.delayed, otherIndex: retries.index },
        args: {
          group: GROUP,
          consumer: ME,
          side: keys.side,
          inboxes: ':~inbox:0:',
          everyMs,
          cursor,
          perKey: key === undefined ? this.places : 0,
          keyPath: this.keyPath,
          key: key ?? '',
        },
      });
      opened += healed.opened;
      lined += healed.lined;
      ({ cursor } = healed);
      calls++;
    } while (cursor !== '' && calls < 1_000);
    return { opened, lined, cursor, calls };
  };

  /** Key → the task that holds it. */
  readonly holders = (): Promise<Record<string, string>> => this.admin.hgetall(gates.gates);

  /** Key → the entries in its line. */
  readonly lines = async (): Promise<Record<string, string[]>> => {
    const found: Record<string, string[]> = {};
    for (const place of await this.admin.zrange(gates.line, '0', '-1')) {
      const [key = '', id = ''] = place.split('\0');
      const [ms, seq] = [id.slice(0, 20), id.slice(20, 40)].map((digits) => digits.replace(/^0+(?=\d)/, ''));
      (found[key] ??= []).push(`${ms}-${seq}${id.slice(40)}`);
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
}

export { GROUP, PARKED, RELEASED };

export function fieldOf(fields: readonly string[], name: string): string {
  const at = fields.findIndex((each, i) => i % 2 === 0 && each === name);
  return at < 0 ? '' : (fields[at + 1] ?? '');
}

function taskOf(id: string, fields: readonly string[]): string {
  const meta = fieldOf(fields, 'meta');
  return meta === '' ? id : ((JSON.parse(meta) as { id?: string }).id ?? id);
}
