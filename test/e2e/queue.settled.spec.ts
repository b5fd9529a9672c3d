import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { SettledTasks } from 'nestjs-sluice/queue';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Work } from '../apps/queue-worker.js';
import { forkApp, type ForkedApp } from '../support/fork-app.js';
import { connectionsOf, untilNoneBut } from '../support/late-commands.js';
import { QueueBed } from '../support/queue-bed.js';
import { until } from '../support/until.js';

const SETTLED = '{tasks}.settled';
const bed = new QueueBed();
let dir: string;
const forked: ForkedApp[] = [];
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'sluice-settled-'));
  writeFileSync(join(dir, 'ledger'), '');
});
afterEach(async () => {
  await Promise.all(forked.splice(0).map((app) => app.kill()));
  rmSync(dir, { recursive: true });
});

const fork = async (name: string, env: Record<string, string> = {}): Promise<ForkedApp> => {
  const app = await forkApp(name, { env: { REDIS_URL: bed.redis.url, LEDGER: join(dir, 'ledger'), ...env } });
  forked.push(app);
  return app;
};
const worker = (): Promise<ForkedApp> => fork('queue-worker', { LEASE_MS: '300', BACKOFF_MS: '0', CONCURRENCY: '5' });

const followed = async (): Promise<SettledTasks[]> =>
  (await bed.admin.xrange(SETTLED, '-', '+')).map(([, fields]) => JSON.parse(fields[1]!) as SettledTasks);
const records = (): Promise<string[]> => bed.admin.keys('{tasks}:~join:*');
describe('tasks of one publishMany whose processes are killed', () => {
  it('are followed by one task, when all of them have ended, and each counts once', async () => {
    const { queue } = await bed.start({});
    const all = Array.from({ length: 300 }, (_, n): Work => ({ ms: 20, ...(n % 10 === 0 && { fails: true }) }));
    const ids = await queue.publishMany('tasks', all, { whenAllSettled: { queue: SETTLED, payload: 'all' } });
    const hasFollowed = async (): Promise<boolean> => (await followed()).length > 0;
    for (let kills = 0; kills < 6 && !(await hasFollowed()); kills++) {
      // It dies when a task is done, and before that is acknowledged: the task runs again.
      const victim = await worker();
      let seen = 0;
      let death: Promise<void> | undefined;
      victim.on('done', () => {
        if (++seen === 8) death = victim.kill();
      });
      await until(async () => death !== undefined || (await hasFollowed()), { what: `it is at work, kill ${kills}` });
      await (death ?? victim.kill());
    }
    await worker();
    await until(hasFollowed, { what: 'all have ended' });
    const dead = (await queue.dead('tasks').list({ limit: 1_000 })).tasks;
    const counts = { total: ids.length, completed: ids.length - dead.length, failed: dead.length, removed: 0 };
    expect(dead.length).toBeGreaterThanOrEqual(30);
    expect(await followed()).toEqual([{ payload: 'all', counts }]);
    await bed.untilSettled();
    expect(await followed()).toHaveLength(1);
    expect(await records()).toEqual([]);
  });
});

describe('a publishMany whose process is killed half-way', () => {
  it('is followed by nothing, however the tasks that it published end, and its record expires', async () => {
    const total = 400_000;
    const known = await connectionsOf(bed.admin);
    const publisher = await fork('queue-members-publisher');
    const lost = publisher.call('publish', total).catch(() => 'killed');
    await until(async () => (await bed.admin.xlen('tasks')) >= 2_000, { what: 'some are published' });
    await publisher.kill();
    expect(await lost).toBe('killed');
    await untilNoneBut(known, bed.admin);
    const sent = await bed.admin.xlen('tasks');
    expect(sent).toBeLessThan(total);
    const [record = ''] = await records();
    expect(await bed.admin.hmget(record, 'total', 'sent')).toEqual([String(total), String(sent)]);

    const { queue } = await bed.start({ handlers: { tasks: { run: () => {}, options: { concurrency: 500 } } } });
    await queue.publishMany('tasks', [1, 2], { whenAllSettled: { queue: SETTLED, payload: 'other' } });
    await bed.untilSettled();
    expect(await followed()).toMatchObject([{ payload: 'other', counts: { total: 2, completed: 2 } }]);
    expect(Number(await bed.admin.hget(record, 'completed'))).toBe(sent);
    expect(await bed.admin.pttl(record)).toBeGreaterThan(0);
  });
});
