import { describe, expect, it } from '@jest/globals';
import { forkApp } from '../support/fork-app.js';
import { connectionsOf, untilNoneBut } from '../support/late-commands.js';
import { QueueBed } from '../support/queue-bed.js';
import { until } from '../support/until.js';

const LETTERS = 1_000;
const bed = new QueueBed();

const idsIn = async (stream: string): Promise<string[]> => {
  const rows = await bed.admin.xrange(stream, '-', '+');
  return rows.map(([, fields]) => (JSON.parse(fields[fields.indexOf('meta') + 1]!) as { id: string }).id);
};

describe('a redrive whose process is killed', () => {
  it('leaves each letter in one place, and another one brings back the rest', async () => {
    const ids = Array.from({ length: LETTERS }, (_, n) => `id-${n}`);
    const pipeline = bed.admin.pipeline();
    for (const id of ids) {
      const own = ['payload', '1', 'timestamp', '1700000000', 'retry_count', '3', 'meta', JSON.stringify({ id })];
      pipeline.xadd('{tasks}:~dead', '*', ...own, 'original_id', id, 'reason', 'max-attempts', 'group', 'sluice');
    }
    await pipeline.exec();

    const known = await connectionsOf(bed.admin);
    // Chunks of 50, ten a second.
    const victim = await forkApp('queue-redriver', { env: { REDIS_URL: bed.redis.url, PER_SECOND: '500' } });
    const lost = victim.call('redrive').catch(() => 'killed');
    const moved = await until(async () => (await bed.admin.xlen('tasks')) >= 150 && bed.admin.xlen('tasks'), {
      what: 'some went back',
    });
    expect(moved).toBeLessThan(LETTERS);
    await victim.kill();
    expect(await lost).toBe('killed');
    await untilNoneBut(known, bed.admin);
    const inBoth = [...(await idsIn('tasks')), ...(await idsIn('{tasks}:~dead'))];
    expect(inBoth).toEqual(ids);

    const rest = await bed.admin.xlen('{tasks}:~dead');
    const { queue } = await bed.start({});
    expect(await queue.dead('tasks').redrive()).toBe(rest);
    expect(await idsIn('tasks')).toEqual(ids);
    expect(await bed.admin.xlen('{tasks}:~dead')).toBe(0);
  });
});
