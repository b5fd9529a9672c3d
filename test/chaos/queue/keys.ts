import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { holds, rejectsPlanted, type ChaosContext, type Verdict } from '../../support/chaos.js';
import { runKeys } from '../../support/key-fleet.js';
import { KEY_MODES, checkKeys, type KeyRecord } from '../../support/key-records.js';

/** What each publisher publishes in each mode. */
const EACH = 1_000;

/** Publishers, workers and connections die while four processes publish under one key of each mode. */
export async function keys(ctx: ChaosContext): Promise<Verdict[]> {
  const found = new Map<string, string[]>(KEY_MODES.map((mode) => [mode, []]));
  let sample: readonly KeyRecord[] = [];
  for (let round = 0; ctx.more(round, 2); round++) {
    const redis = await ctx.startRedis();
    const dir = mkdtempSync(join(tmpdir(), 'sluice-chaos-keys-'));
    try {
      const { records, faults, repeated } = await runKeys({ redis, dir, each: EACH, random: ctx.random });
      ctx.log(`${records.length} records, ${repeated} repeated, ${JSON.stringify(faults)}`);
      for (const mode of KEY_MODES) found.get(mode)?.push(...checkKeys(records, mode));
      sample = records;
    } finally {
      await redis.stop();
      rmSync(dir, { recursive: true });
    }
  }
  const ends = sample.filter(({ what, mode }) => what === 'end' && mode === 'follow-up');
  const [first, last] = [ends[0], ends.at(-1)];
  if (first?.what !== 'end' || last?.what !== 'end') throw new Error('nothing has run');
  const without = (id: string): KeyRecord[] => sample.filter((record) => !('id' in record) || record.id !== id);
  return [
    ...[...found].map(([mode, wrong]) =>
      holds(
        `${mode}: each publish is seen, and no repeat makes a second task`,
        wrong.length === 0,
        wrong.slice(0, 5).join('; '),
      ),
    ),
    rejectsPlanted(
      'a last follow-up that never runs',
      checkKeys([...without(last.id), ...answers(sample, last.id)], 'follow-up'),
    ),
    rejectsPlanted('two runs side by side', checkKeys([...sample, { ...first, what: 'end' }], 'follow-up')),
    rejectsPlanted(
      'an item in two tasks',
      checkKeys([...sample, { ...last, what: 'begin', id: 'planted' }], 'follow-up'),
    ),
  ];
}

/** What publishers were told of a task. */
function answers(records: readonly KeyRecord[], id: string): KeyRecord[] {
  return records.filter((record) => record.what === 'answer' && record.id === id);
}
