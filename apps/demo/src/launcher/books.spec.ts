import { describe, expect, it } from '@jest/globals';
import { chargesOf } from './books.js';
import type { Outcome } from './gateway.js';

const gateway = (attempts: Record<string, Outcome[]>) => ({
  chargesOf: (order: string) =>
    (attempts[order] ?? []).map((outcome) => ({ order, by: 'app-1', outcome, startedAt: 0, endedAt: 0 })),
});

describe('chargesOf', () => {
  it('counts charges that went through, those after a decline, and all attempts', () => {
    const ledger = gateway({
      good: ['paid'],
      retried: ['declined', 'paid'],
      declined: ['declined', 'declined', 'declined'],
      recovered: ['abandoned', 'paid', 'repeated'],
      busy: ['running'],
    });
    const orders = ['good', 'retried', 'declined', 'recovered', 'busy', 'never asked for'];
    expect(chargesOf(orders, ledger)).toEqual({ paid: 3, retried: 1, attempts: 10 });
  });

  it('sees an order that was paid twice', () => {
    expect(chargesOf(['x'], gateway({ x: ['paid', 'paid'] }))).toEqual({ paid: 2, retried: 0, attempts: 2 });
  });

  it('leaves out the orders of others', () => {
    expect(chargesOf(['mine'], gateway({ theirs: ['paid'] }))).toEqual({ paid: 0, retried: 0, attempts: 0 });
  });
});
