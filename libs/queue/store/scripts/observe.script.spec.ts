import { describe, expect, it } from '@jest/globals';
import { GROUP, QueueScriptBed } from '../../../../test/support/queue-script-bed.js';
import { until } from '../../../../test/support/until.js';
import { Keyspace, unframe } from '../../../redis/index.js';
import { CONSUMER_PREFIX, progressKey, queueKeys, retryKeys, type QueueKeys } from '../queue.keys.js';
import { observeScript } from './observe.script.js';
import { PROGRESS_KEPT_MS, reportProgressScript } from './report-progress.script.js';

const INBOXES = ':~inbox:0:';
const PROCESS = 'host:7:abc-0123456789ab';
const TOKEN = 'a-token-of-22-charact_';
const keys = queueKeys(new Keyspace(), 'tasks');
const own = retryKeys(new Keyspace(), 'tasks', GROUP);
const bed = new QueueScriptBed(keys.stream);

/** What an inbox hears while `act` runs. */
async function heardBy(inbox: string, act: () => Promise<unknown>): Promise<(string[] | undefined)[]> {
  const heard: (string[] | undefined)[] = [];
  const subscriber = bed.admin.duplicate();
  subscriber.on('messageBuffer', (_channel: Buffer, message: Buffer) => heard.push(unframe(message)));
  await subscriber.subscribe(inbox);
  await act();
  await bed.admin.publish(inbox, '3:end');
  await until(() => heard.at(-1)?.[0] === 'end', { what: 'the last message is heard' });
  subscriber.disconnect();
  return heard.slice(0, -1);
}

describe('queue:observe', () => {
  const observe = (ttlMs = 60_000): Promise<boolean> => {
    const { observed, alive } = keys;
    return observeScript.run(bed.link, { keys: { observed, alive }, args: { ttlMs, inboxes: INBOXES } });
  };

  it('tells the living processes when the first one listens, and not again', async () => {
    await bed.admin.zadd(keys.alive, 1, `${CONSUMER_PREFIX}dead`, Date.now() + 60_000, CONSUMER_PREFIX + PROCESS);
    const twice = async (): Promise<void> => {
      expect(await observe()).toBe(true);
      expect(await observe()).toBe(false);
    };
    expect(await heardBy(INBOXES + PROCESS, twice)).toEqual([['queue:observed', keys.observed]]);
    expect(await heardBy(`${INBOXES}dead`, () => bed.admin.del(keys.observed).then(() => observe()))).toEqual([]);
  });

  it('ends by itself, and a repeat begins the time anew', async () => {
    await observe(60_000);
    expect(await bed.admin.pttl(keys.observed)).toBeLessThanOrEqual(60_000);
    await observe(600_000);
    expect(await bed.admin.pttl(keys.observed)).toBeGreaterThan(60_000);
    await observe(1);
    await until(async () => (await bed.admin.exists(keys.observed)) === 0, { what: 'nobody listens any more' });
  });
});

describe('queue:report-progress', () => {
  const meta = (group = GROUP): string => JSON.stringify({ reply: `${PROCESS} ${TOKEN} 600000 ${group}` });
  const report = (rest: string[], on: QueueKeys = keys): Promise<number> => {
    const restKeys = rest.filter((_, i) => i % 3 === 0).map((_, i) => progressKey(keys, GROUP, `${i}`));
    const args = { group: GROUP, side: keys.side, inboxes: INBOXES };
    return reportProgressScript.run(bed.link, { keys: { stream: on.stream }, restKeys, args, rest });
  };

  it('keeps the values for a day, and tells each publisher that waits its own', async () => {
    const all = (): Promise<unknown> => report(['{"n":1}', '', '0', '"b"', meta(), '1', '3', '', '2']);
    expect(await heardBy(INBOXES + PROCESS, all)).toEqual([['queue:progress', TOKEN, '"b"']]);
    const names = ['0', '1', '2'].map((id) => progressKey(keys, GROUP, id));
    expect(await bed.admin.mget(names)).toEqual(['{"n":1}', '"b"', '3']);
    for (const name of names) {
      const leftMs = await bed.admin.pttl(name);
      expect(leftMs).toBeLessThanOrEqual(PROGRESS_KEPT_MS);
      expect(leftMs).toBeGreaterThan(PROGRESS_KEPT_MS / 2);
    }
  });

  it('tells nobody who waits for another of several groups', async () => {
    const other = (): Promise<unknown> => report(['1', meta('other'), '0']);
    expect(await heardBy(INBOXES + PROCESS, other)).toHaveLength(1);
    await bed.admin.xgroup('CREATE', keys.stream, 'other', '0');
    expect(await heardBy(INBOXES + PROCESS, other)).toEqual([]);
    expect(await heardBy(INBOXES + PROCESS, () => report(['1', meta(), '0']))).toHaveLength(1);
    expect(await heardBy(INBOXES + PROCESS, () => report(['1', meta('other'), '0'], own))).toEqual([]);
  });

  it('has one key per group and task', () => {
    const names = [progressKey(keys, 'a', 'b'), progressKey(keys, 'b', 'b'), progressKey(keys, 'a', 'c')];
    expect(new Set(names).size).toBe(3);
  });
});
