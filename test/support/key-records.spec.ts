import { describe, expect, it } from '@jest/globals';
import type { UniqueOutcome } from 'nestjs-sluice/queue';
import { checkKeys, type KeyMode, type KeyRecord } from './key-records.js';

const call = (mode: KeyMode, item: string): KeyRecord => ({ what: 'call', mode, item });
const answer = (mode: KeyMode, item: string, id: string, outcome: UniqueOutcome): KeyRecord => {
  return { what: 'answer', mode, item, id, outcome };
};
const worker = 'w';
const begin = (mode: KeyMode, id: string, ...items: string[]): KeyRecord => ({
  what: 'begin',
  mode,
  id,
  worker,
  items,
});
const end = (mode: KeyMode, id: string, ...items: string[]): KeyRecord => ({ what: 'end', mode, id, worker, items });
const by = (other: string, record: KeyRecord): KeyRecord => ({ ...record, worker: other }) as KeyRecord;

describe('the records of publishes under a key', () => {
  const good: KeyRecord[] = [
    call('follow-up', 'a1'),
    answer('follow-up', 'a1', 'x', 'published'),
    begin('follow-up', 'x', 'a1'),
    call('follow-up', 'a2'),
    call('follow-up', 'b1'),
    answer('follow-up', 'a2', 'y', 'follows'),
    answer('follow-up', 'b1', 'y', 'follows'),
    // Its worker is killed, and it runs again.
    begin('follow-up', 'x', 'a1'),
    end('follow-up', 'x', 'a1'),
    begin('follow-up', 'y', 'b1'),
    end('follow-up', 'y', 'b1'),
    call('follow-up', 'a3'),
  ];

  it('are good if a later run saw each item, or a later one', () => {
    expect(checkKeys(good, 'follow-up')).toEqual([]);
  });

  const lapsed: KeyRecord[] = [
    call('skip', 'a1'),
    answer('skip', 'a1', 'x', 'published'),
    begin('skip', 'x', 'a1'),
    by('other', begin('skip', 'x', 'a1')),
    by('other', end('skip', 'x', 'a1')),
    call('skip', 'a2'),
    answer('skip', 'a2', 'y', 'published'),
    begin('skip', 'y', 'a2'),
    end('skip', 'x', 'a1'),
    end('skip', 'y', 'a2'),
  ];

  it('are good if a worker that was presumed dead ends its run late, and not if it begins one', () => {
    expect(checkKeys(lapsed, 'skip')).toEqual([]);
    const alone = lapsed.toSpliced(3, 1);
    expect(checkKeys(alone, 'skip')).toEqual(['y begins before x has ended']);
    const anew = lapsed.toSpliced(8, 0, begin('skip', 'x', 'a1'));
    expect(checkKeys(anew, 'skip')).toEqual(['y begins before x has ended']);
  });

  it.each<[string, KeyRecord[], string]>([
    ['a run that never began', good.slice(0, 9), 'a2 was follows, and no run'],
    [
      'a run that saw an older item',
      [...good.slice(0, 9), begin('follow-up', 'y', 'a1')],
      'b1 was follows, and no run',
    ],
    [
      'two runs side by side',
      good.with(8, begin('follow-up', 'y', 'b1')).with(9, end('follow-up', 'x', 'a1')),
      'y begins before x',
    ],
    ['an item in two tasks', [...good, begin('follow-up', 'z', 'b1')], 'b1 is in two tasks: y and z'],
    ['an item from nowhere', [...good, begin('follow-up', 'z', 'c1')], 'c1 runs, and nobody'],
  ])('tell of %s', (_, records, violation) => {
    expect(checkKeys(records, 'follow-up').join('\n')).toContain(violation);
  });

  it('tell of an item that was not collected, and of one whose task was lost', () => {
    const collected: KeyRecord[] = [
      call('collect', 'a1'),
      answer('collect', 'a1', 'x', 'published'),
      call('collect', 'a2'),
      answer('collect', 'a2', 'x', 'collected'),
      begin('collect', 'x', 'a1'),
    ];
    expect(checkKeys(collected, 'collect')).toEqual(['a2 was collected, and no run that began later saw it']);
    const skipped: KeyRecord[] = [
      call('skip', 'a1'),
      answer('skip', 'a1', 'x', 'published'),
      call('skip', 'a2'),
      answer('skip', 'a2', 'x', 'skipped'),
    ];
    expect(checkKeys(skipped, 'skip')).toEqual(['a1 was published, and no run that began later saw it']);
  });
});
