import type { Redis } from 'ioredis';
import { Keyspace, type Link } from '../../libs/redis/index.js';
import { historyKeys, joinKey, queueKeys } from '../../libs/queue/store/queue.keys.js';
import { ackMembersScript } from '../../libs/queue/store/scripts/ack-members.script.js';
import { ackRecordedScript } from '../../libs/queue/store/scripts/ack-recorded.script.js';
import { publishMembersScript } from '../../libs/queue/store/scripts/publish-members.script.js';
import { GROUP } from '../support/queue-script-bed.js';
import type { Growth, Prepare } from '../support/script-costs.js';

type Row = readonly [name: string, of: string, growth: Growth, prepare: Prepare];

const count = (n: number): number[] => Array.from({ length: n }, (_, i) => i);

/** The commands of the scripts of joins, against the number of something. */
export function joinCosts(bed: { admin: Redis; link: Link }): readonly Row[] {
  const keys = queueKeys(new Keyspace(), 'tasks');
  const publish = async (join: string, total: number, n = total): Promise<readonly string[]> => {
    const { ids = [] } = await publishMembersScript.run(bed.link, {
      keys: { ...keys, join: joinKey(keys, join), target: '{tasks}.settled' },
      args: { total, from: 0, payload: '1', meta: '', inboxes: ':~inbox:0:', timestamp: '1700000000' },
      rest: count(n).flatMap((i) => [`${join}.${i}`, '1', `{"join":"${join}/${i}"}`, i % 2, -1, '']),
    });
    return ids;
  };
  const read = async (): Promise<void> => {
    await bed.admin.xgroup('CREATE', keys.stream, GROUP, '0', 'MKSTREAM');
    await bed.admin.xreadgroup('GROUP', GROUP, 'me', 'STREAMS', keys.stream, '>');
  };
  const ack = (members: readonly (readonly [id: string, join: string])[]): Promise<unknown> =>
    ackMembersScript.run(bed.link, {
      keys,
      args: { group: GROUP, side: keys.side },
      rest: members.flatMap(([id, join]) => [id, `${id}!`, join]),
    });
  const ackRecorded = (ids: readonly string[], join: (i: number) => string, keep: number): Promise<unknown> =>
    ackRecordedScript.run(bed.link, {
      keys: { ...keys, history: historyKeys(new Keyspace(), 'tasks').completed },
      args: { group: GROUP, side: keys.side },
      rest: ids.flatMap((id, i) => [id, `${id}!`, join(i), `${keep} - 1 1 2 1 completed me\n7`]),
    });

  return [
    [
      'queue:publish-members',
      'tasks that it adds',
      'linear',
      async (n) => {
        await bed.admin.xgroup('CREATE', keys.stream, GROUP, '0', 'MKSTREAM');
        return () => publish('join', n);
      },
    ],
    [
      'queue:publish-members',
      'members that come later',
      'bounded',
      async (n) => {
        await bed.admin.xgroup('CREATE', keys.stream, GROUP, '0', 'MKSTREAM');
        return () => publish('join', n, 2);
      },
    ],
    [
      'queue:ack-members',
      'members of one join',
      'linear',
      async (n) => {
        const ids = await publish('join', 2 * n);
        await read();
        const now = ids.filter((id) => id.includes('-'));
        return () => ack(now.map((id, i) => [id, `join/${2 * i}`]));
      },
    ],
    [
      'queue:ack-members',
      'joins, and their members',
      'linear',
      async (n) => {
        const ids = await Promise.all(count(n).map((i) => publish(`join-${i}`, 1)));
        await read();
        return () => ack(ids.flatMap(([id = ''], i) => [[id, `join-${i}/0`] as const]));
      },
    ],
    [
      'queue:ack-recorded',
      'tasks that it settles, of which each is in a join of its own',
      'linear',
      async (n) => {
        const ids = await Promise.all(count(n).map((i) => publish(`join-${i}`, 1)));
        await read();
        return () => ackRecorded(ids.flat(), (i) => `join-${i}/0`, 10_000);
      },
    ],
    [
      'queue:ack-recorded',
      'records that there are, and that it deletes',
      'bounded',
      async (n) => {
        const ids = await publish('join', 2 * n + 2);
        await read();
        const now = ids.filter((id) => id.includes('-'));
        await ackRecorded(now.slice(1), () => '', 10_000);
        return () => ackRecorded(now.slice(0, 1), () => '', 1);
      },
    ],
  ];
}
