import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, it } from '@jest/globals';
import { CLUSTER_MODE } from '../../../../test/support/cluster-mode.js';
import { PLAIN_QUESTION } from '../../../../test/support/plain-question.js';
import { ScriptBed } from '../../../../test/support/script-bed.js';
import { growthOf, scriptNames, isLinear, type Growth, type Prepare } from '../../../../test/support/script-costs.js';
import { unheard } from '../../../../test/support/unheard.js';
import { CacheKeys } from '../cache.keys.js';
import { CacheStore, type AskRequest } from '../cache.store.js';
import type { Answer } from './ask.script.js';
import { rawLockScript } from './raw-lock.script.js';
import { rawSetScript } from './raw-set.script.js';

const bed = new ScriptBed();
let keys: CacheKeys;
let store: CacheStore;
beforeAll(() => {
  keys = new CacheKeys(bed.connections.keyspace);
  const timing = { leaseMs: 60_000, readTimeoutMs: 60_000, packFrom: Infinity };
  store = new CacheStore(bed.connection, keys, timing, bed.connections.clock);
});

const ENTRY = ':k';
const TOKEN = 'token';
const count = (n: number): number[] => Array.from({ length: n }, (_, i) => i);
const tagsOf = (n: number): string[] => count(n).map((i) => `category:books-and-more:${i}`);
const ask = (over: Partial<AskRequest> = {}): Promise<Answer> =>
  store.ask(ENTRY, { ...PLAIN_QUESTION, token: TOKEN, ...over });
const value = (tags: string[] = []) => ({ text: '1', ttlMs: 60_000, staleMs: 0, tags });

/** A load runs, and so many requests wait for it, as many in each process. */
async function waiting(requests: number, processes: number): Promise<void> {
  await ask();
  const fields = count(requests).flatMap((i) => [`w:request-${i}`, unheard(i % processes)]);
  for (let at = 0; at < fields.length; at += 2_000)
    await bed.admin.hset(keys.lease(ENTRY), ...fields.slice(at, at + 2_000));
}

const looked = new Set<string>();

/** In a Cluster, PUBLISH in a script does not count every receiver: there, requests of dead processes are told like others. */
const SKIPPED: Growth = CLUSTER_MODE ? 'bounded' : 'linear';

/** The commands of a script against the number of something. */
function grows(name: string, of: string, growth: Growth, prepare: Prepare): void {
  looked.add(name);
  it(`${name} is ${growth} in the number of ${of}`, async () => {
    expect(await growthOf(bed.admin, 20, prepare)).toBe(growth);
  });
}

grows('cache:ask', 'tags of the load', 'linear', (n) => Promise.resolve(() => ask({ tags: tagsOf(n) })));

grows('cache:ask', 'tags of the value that it finds', 'linear', async (n) => {
  await store.set(ENTRY, value(tagsOf(n)));
  return () => ask();
});

grows('cache:ask', 'requests that wait for the load', 'bounded', async (n) => {
  await waiting(n, n);
  return () => ask({ token: 'another' });
});

grows('cache:ask', 'processes that wait for a load that was invalidated', 'linear', async (n) => {
  await waiting(n, n);
  await store.clear();
  return () => ask({ token: 'another' });
});

grows('cache:ask', 'requests of dead processes that wait for a slot', SKIPPED, async (n) => {
  await bed.admin.zadd(keys.queue(''), ...count(n).flatMap((i) => [i, `request-${i} ${unheard(i)}`]));
  return () => ask({ limit: 1 });
});

grows('cache:clear', 'values', 'bounded', async (n) => {
  await Promise.all(count(n).map((i) => store.set(`:${i}`, value())));
  return () => store.clear();
});

for (const [name, end] of [
  ['cache:delete', () => store.delete(ENTRY)],
  ['cache:fail', () => store.fail(ENTRY, TOKEN, { name: 'Error', message: 'no', backoffMs: 1_000 })],
  ['cache:fill', () => store.fill(ENTRY, TOKEN, 7, value())],
  ['cache:release', () => store.release(ENTRY, TOKEN)],
  ['cache:set', () => store.set(ENTRY, value())],
] as const) {
  grows(name, 'processes that wait', 'linear', async (n) => {
    await waiting(n, n);
    return end;
  });

  grows(name, 'requests of one process that wait', 'bounded', async (n) => {
    await waiting(n, 1);
    return end;
  });
}

grows('cache:fill', 'tags that the result names', 'linear', async (n) => {
  await ask({ hasResultTags: true });
  return () => store.fill(ENTRY, TOKEN, 7, value(tagsOf(n)));
});

grows('cache:renew', 'tags of the load', 'linear', async (n) => {
  await ask({ tags: tagsOf(n) });
  return () => store.renew(ENTRY, TOKEN);
});

grows('cache:set', 'tags', 'linear', (n) => Promise.resolve(() => store.set(ENTRY, value(tagsOf(n)))));

grows('cache:take', 'tags of the value', 'linear', async (n) => {
  await store.set(ENTRY, value(tagsOf(n)));
  return () => store.take(ENTRY);
});

grows('cache:invalidate-tags', 'tags', 'linear', async (n) => {
  await ask({ hasResultTags: true });
  return () => store.invalidateTags(tagsOf(n));
});

grows('cache:invalidate-tags', 'values of the tag', 'bounded', async (n) => {
  await Promise.all(count(n).map((i) => store.set(`:${i}`, value(['books']))));
  return () => store.invalidateTags(['books']);
});

grows('cache:leave-slot', 'requests of dead processes that wait for a slot', SKIPPED, async (n) => {
  await bed.admin.zadd(keys.queue(''), ...count(n).flatMap((i) => [i, `request-${i} ${unheard(i)}`]));
  return () => store.leaveSlot('', TOKEN, 1);
});

grows('cache:renew-slot', 'slots', 'bounded', async (n) => {
  await bed.admin.zadd(keys.slots(''), ...count(n).flatMap((i) => [Date.now() + 60_000, `request-${i}`]));
  return () => store.renewSlot('', TOKEN);
});

grows('cache:peek', 'values that it reads', 'linear', async (n) => {
  await Promise.all(count(n).map((i) => store.set(`:${i}`, value(['books']))));
  return () => Promise.all(count(n).map((i) => store.get(`:${i}`)));
});

grows('cache:raw-lock', 'requests that have asked', 'bounded', async (n) => {
  const lock = (token: string): Promise<unknown> =>
    rawLockScript.run(bed.link, { keys: { load: 'load' }, args: { token, ttlMs: 60_000 } });
  for (const i of count(n)) await lock(String(i));
  return () => lock(TOKEN);
});

grows('cache:raw-set', 'bytes of the value', 'bounded', (n) => {
  const args = { token: '', text: 'x'.repeat(n), ttlMs: 60_000 };
  return Promise.resolve(() => rawSetScript.run(bed.link, { keys: { value: 'value', load: '{value}:~load' }, args }));
});

it('all scripts were looked at', () => {
  expect([...looked].sort()).toEqual(scriptNames(dirname(fileURLToPath(import.meta.url))));
});

describe('what a script does without commands is linear:', () => {
  const rows: [string, Prepare][] = [
    ['ask notes the tags of a load', (n) => Promise.resolve(() => ask({ tags: tagsOf(n) }))],
    ['set stores the tags', (n) => Promise.resolve(() => store.set(ENTRY, value(tagsOf(n))))],
    [
      'fill stores the tags that the result names',
      async (n) => {
        await ask({ hasResultTags: true });
        return () => store.fill(ENTRY, TOKEN, 7, value(tagsOf(n)));
      },
    ],
    [
      'ask compares the tags of the value that it finds',
      async (n) => {
        await store.set(ENTRY, value(tagsOf(n)));
        return () => ask();
      },
    ],
    [
      'release tells the requests of a process that wait',
      async (n) => {
        await waiting(2 * n, 1);
        return () => store.release(ENTRY, TOKEN);
      },
    ],
  ];
  it.each(rows)('%s', async (_title, prepare) => {
    expect(await isLinear(bed.admin, 1_000, prepare)).toBe(true);
  });
});
