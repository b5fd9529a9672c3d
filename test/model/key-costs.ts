import type { Redis } from 'ioredis';
import { Keyspace, type Link } from '../../libs/redis/index.js';
import { placeOf } from '../../libs/queue/store/levels.js';
import { keyDigest, queueKeys, recordKey, resultKey, waitersKey } from '../../libs/queue/store/queue.keys.js';
import { completeScript } from '../../libs/queue/store/scripts/complete.script.js';
import { joinNamesScript, namesScript } from '../../libs/queue/store/scripts/names.script.js';
import { publishLevelScript } from '../../libs/queue/store/scripts/publish-level.script.js';
import { publishLimitedScript } from '../../libs/queue/store/scripts/publish-limited.script.js';
import { endKeyScript } from '../../libs/queue/store/scripts/end-key.script.js';
import { publishUniqueScript } from '../../libs/queue/store/scripts/publish-unique.script.js';
import type { Growth, Prepare } from '../support/script-costs.js';

const count = (n: number): number[] => Array.from({ length: n }, (_, i) => i);

type Row = readonly [name: string, of: string, growth: Growth, prepare: Prepare];

/** The commands of the scripts of named tasks, and of tasks with a key, against the number of something. */
export function keyCosts(bed: { admin: Redis; link: Link }): readonly Row[] {
  const keys = queueKeys(new Keyspace(), 'tasks');
  const record = recordKey(keys, keyDigest('key'));
  const all = { names: `${keys.side}names`, pausedNames: `${keys.side}paused-names`, paused: keys.paused };
  const known = (n: number): Promise<number> => bed.admin.sadd(all.names, ...count(n).map((i) => `name-${i}`));
  const waiters = waitersKey(keys, keyDigest('key'));
  const publish = (handle: string, waiter = ''): Promise<{ id: string }> => {
    const { stream, delayed, bodies, alive, index, side } = keys;
    return publishUniqueScript.run(bed.link, {
      keys: { record, nonceKey: `${side}nonce:${handle}`, stream, delayed, bodies, alive, index, waiters },
      args: {
        ...{ mode: 'skip', key: 'key', payload: '1', windowMs: 0, maxWaitMs: 0, max: 0, maxBytes: 1_000, side },
        ...{ inboxes: ':~inbox:0:', handle, meta: '{}', delayMs: 0, runAtMs: -1, timestamp: '1700000000', waiter },
      },
    });
  };
  const publishLimited = (n: number): Promise<unknown> => {
    const { stream, delayed, bodies, alive, side } = keys;
    return publishLimitedScript.run(bed.link, {
      keys: { stream, delayed, bodies, alive },
      args: { limit: 1_000_000, side, inboxes: ':~inbox:0:', timestamp: '1700000000' },
      rest: count(n).flatMap((i) => [`handle-${i}`, '1', '{}', i % 2, -1, '']),
    });
  };
  const publishLevel = (n: number): Promise<unknown> => {
    const { stream, delayed, bodies, index, alive } = queueKeys(new Keyspace(), placeOf('tasks', 'high'));
    return publishLevelScript.run(bed.link, {
      keys: { main: keys.stream, stream, delayed, bodies, index, alive },
      args: { inboxes: ':~inbox:0:', timestamp: '1700000000' },
      rest: count(n).flatMap((i) => [`handle-${i}`, '1', `{"id":"handle-${i}"}`, (i % 2) - 1, -1]),
    });
  };
  const others = (n: number): Promise<unknown> =>
    Promise.all(count(n).map((i) => bed.admin.xadd(keys.stream, '*', 'payload', String(i), 'meta', '{}')));

  return [
    [
      'queue:publish-limited',
      'tasks that wait and are delayed',
      'bounded',
      async (n) => {
        await others(n);
        for (const i of count(n)) await bed.admin.zadd(keys.delayed, i, `task-${i}`);
        return () => publishLimited(1);
      },
    ],
    [
      'queue:publish-limited',
      'groups',
      'linear',
      async (n) => {
        await others(1);
        for (const i of count(n)) await bed.admin.xgroup('CREATE', keys.stream, `group-${i}`, '$');
        return () => publishLimited(1);
      },
    ],
    ['queue:publish-limited', 'payloads', 'linear', (n) => Promise.resolve(() => publishLimited(n))],
    [
      'queue:publish-level',
      'groups that the level lacks',
      'linear',
      async (n) => {
        await others(1);
        for (const i of count(n)) await bed.admin.xgroup('CREATE', keys.stream, `group-${i}`, '$');
        return () => publishLevel(1);
      },
    ],
    ['queue:publish-level', 'payloads', 'linear', (n) => Promise.resolve(() => publishLevel(n))],
    [
      'queue:join-names',
      'names that are known',
      'bounded',
      async (n) => {
        await known(n);
        return () => joinNamesScript.run(bed.link, { keys: all, args: { name: 'new' } });
      },
    ],
    [
      'queue:names',
      'names that are known',
      'bounded',
      async (n) => {
        await known(n);
        return () => namesScript.run(bed.link, { keys: all, args: { later: 1 } });
      },
    ],
    [
      'queue:publish-unique',
      'tasks before and behind the one that has the key',
      'bounded',
      async (n) => {
        await others(n);
        await publish('first');
        await others(n);
        return () => publish('second');
      },
    ],
    [
      'queue:publish-unique',
      'groups',
      'linear',
      async (n) => {
        await publish('first');
        for (const i of count(n)) await bed.admin.xgroup('CREATE', keys.stream, `group-${i}`, '$');
        return () => publish('second');
      },
    ],
    [
      'queue:complete',
      'tasks in the stream',
      'bounded',
      async (n) => {
        await bed.admin.xgroup('CREATE', keys.stream, 'group', '0', 'MKSTREAM');
        await others(n);
        await bed.admin.xreadgroup('GROUP', 'group', 'me', 'COUNT', 1, 'STREAMS', keys.stream, '>');
        const [[id]] = (await bed.admin.xpending(keys.stream, 'group', '-', '+', 1)) as [[string]];
        const token = 'x'.repeat(22);
        const args = {
          group: 'group',
          id,
          task: id,
          side: keys.side,
          inboxes: ':~inbox:0:',
          kind: 'returned',
          text: '7',
        };
        const meta = JSON.stringify({ reply: `process ${token} 60000 group` });
        return () =>
          completeScript.run(bed.link, {
            keys: { history: keys.dead, ...keys, waiters, result: resultKey(keys, token) },
            args: { run: '', ...args, meta },
          });
      },
    ],
    [
      'queue:end-key',
      'tasks in the stream',
      'bounded',
      async (n) => {
        await others(n);
        const { id } = await publish('first');
        const args = { id, side: keys.side, inboxes: ':~inbox:0:' };
        return () => endKeyScript.run(bed.link, { keys: { ...keys, record }, args });
      },
    ],
  ];
}
