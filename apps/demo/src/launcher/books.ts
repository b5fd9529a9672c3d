import type { Charge, Outcome } from './gateway.js';

/** What became of some orders, by the gateway's ledger. */
export interface Books {
  /** Paid. */
  completed: number;
  /** Paid after at least one decline. */
  retried: number;
  /** Attempts to charge them, of any outcome. */
  attempts: number;
}

export function booksOf(orders: readonly string[], ledger: readonly Charge[]): Books {
  const outcomes = new Map<string, Outcome[]>(orders.map((order) => [order, []]));
  for (const charge of ledger) outcomes.get(charge.order)?.push(charge.outcome);

  const books: Books = { completed: 0, retried: 0, attempts: 0 };
  for (const attempts of outcomes.values()) {
    books.attempts += attempts.length;
    if (!attempts.includes('paid')) continue;
    books.completed++;
    if (attempts.includes('declined')) books.retried++;
  }
  return books;
}
