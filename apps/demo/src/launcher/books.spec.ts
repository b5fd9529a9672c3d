import { describe, expect, it } from '@jest/globals';
import { booksOf } from './books.js';
import type { Charge, Outcome } from './gateway.js';

const ledger = (attempts: Record<string, Outcome[]>): Charge[] =>
  Object.entries(attempts).flatMap(([order, outcomes]) =>
    outcomes.map((outcome) => ({ order, by: 'app-1', outcome, startedAt: 0, endedAt: 0 })),
  );

describe('booksOf', () => {
  it('counts orders by what became of them, and all attempts', () => {
    const charges = ledger({
      good: ['paid'],
      retried: ['declined', 'paid'],
      declined: ['declined', 'declined', 'declined'],
      recovered: ['abandoned', 'paid', 'repeated'],
      busy: ['running'],
    });
    const orders = ['good', 'retried', 'declined', 'recovered', 'busy', 'never asked for'];
    expect(booksOf(orders, charges)).toEqual({ completed: 3, retried: 1, attempts: 10 });
  });

  it('leaves out the orders of others', () => {
    expect(booksOf(['mine'], ledger({ theirs: ['paid'] }))).toEqual({ completed: 0, retried: 0, attempts: 0 });
  });
});
