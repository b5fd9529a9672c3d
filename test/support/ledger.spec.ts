import { afterAll, describe, expect, it } from '@jest/globals';
import { appendFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { checkLedger, Ledger, readLedger, type Run } from './ledger.js';

const dir = mkdtempSync(join(tmpdir(), 'sluice-ledger-'));
afterAll(() => {
  rmSync(dir, { recursive: true });
});

const run = (id: string): Run => ({ id, attempt: 1, deliveries: 1, by: 'a' });

describe('the ledger', () => {
  it('holds the runs of several writers, without a line that its writer died in', () => {
    const path = join(dir, 'runs');
    const [a, b] = [new Ledger(path, 'a'), new Ledger(path, 'b')];
    a.write({ id: '1-0', attempt: 1, deliveries: 2 });
    b.write({ id: '2-0', attempt: 3, deliveries: 1 });
    a.end();
    b.end();
    appendFileSync(path, '3-0 1');
    expect(readLedger(path)).toEqual([
      { id: '1-0', attempt: 1, deliveries: 2, by: 'a' },
      { id: '2-0', attempt: 3, deliveries: 1, by: 'b' },
    ]);
  });

  it('passes when every task ran, and no more runs are extra than allowed', () => {
    expect(checkLedger(['1', '2'], [run('1'), run('2'), run('1')], 1)).toEqual([]);
  });

  it('sees a loss, a run of nothing that was published, and one repetition too many', () => {
    expect(checkLedger(['1', '2'], [run('1')], 9)).toEqual([{ kind: 'lost', id: '2' }]);
    expect(checkLedger(['1'], [run('1'), run('3')], 9)).toEqual([{ kind: 'unknown', id: '3' }]);
    expect(checkLedger(['1', '2'], [run('1'), run('2'), run('1'), run('2')], 1)).toEqual([
      { kind: 'repeated', extra: 2, allowed: 1 },
    ]);
  });
});
