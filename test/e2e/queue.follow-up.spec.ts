import { expect, it } from '@jest/globals';
import type { UniquePublish } from 'nestjs-sluice/queue';
import type { Work } from '../apps/queue-worker.js';
import { ForkedBed } from '../support/forked-bed.js';
import { readLedger } from '../support/ledger.js';
import { until } from '../support/until.js';

const bed = new ForkedBed();
const publish = (work: Work): Promise<UniquePublish> =>
  bed.operator.queue.publishUnique('tasks', work, { key: 'k', mode: 'follow-up' });

it.each<[string, Work, readonly string[]]>([
  ['does its task again', { hangs: true }, ['active', 'next']],
  ['fails with its task', { hangs: true, fails: true }, ['next']],
])('a worker that is killed with the active task, where the next one %s', async (_, work, done) => {
  const { queue } = bed.operator;
  const env = { LEASE_MS: '300', BACKOFF_MS: '1' };
  const first = await bed.fork(env);
  const started = first.once('started');
  const active = await publish(work);
  await started;
  const next = await publish({});
  expect(next.outcome).toBe('follows');
  expect(await publish({})).toEqual(next);
  await first.kill();
  await bed.fork(env);
  const names = new Map([
    [active.id, 'active'],
    [next.id, 'next'],
  ]);
  const ran = (): string[] => readLedger(bed.ledger).map(({ id }) => names.get(id) ?? id);
  await until(() => ran().includes('next'), { what: 'the follow-up is done' });
  await until(async () => (await queue.counts('tasks')).running === 0, { what: 'all is settled' });
  expect(ran()).toEqual(done);
  expect(await queue.counts('tasks')).toMatchObject({ waiting: 0, delayed: 0, dead: done.length === 2 ? 0 : 1 });
});
