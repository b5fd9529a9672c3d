import type { Client } from 'pg';
import type { Gateway } from './gateway.js';

/** What became of some orders, by the gateway's ledger. */
export interface Charges {
  /** Charges that went through. More than orders completed: somebody paid twice. */
  paid: number;
  /** Orders that were charged after at least one decline. */
  retried: number;
  /** Attempts of any outcome. */
  attempts: number;
}

export function chargesOf(orders: readonly string[], gateway: Pick<Gateway, 'chargesOf'>): Charges {
  const charges: Charges = { paid: 0, retried: 0, attempts: 0 };
  for (const order of orders) {
    const outcomes = gateway.chargesOf(order).map(({ outcome }) => outcome);
    const paid = outcomes.filter((outcome) => outcome === 'paid').length;
    charges.attempts += outcomes.length;
    charges.paid += paid;
    if (paid > 0 && outcomes.includes('declined')) charges.retried++;
  }
  return charges;
}

/** How many of these orders are written down in Postgres. */
export async function completed(orders: readonly string[], postgres: Client): Promise<number> {
  const { rows } = await postgres.query<{ count: number }>(
    'select count(*)::int as count from orders where id = any($1)',
    [orders],
  );
  return rows[0]?.count ?? 0;
}

export interface Stock {
  initial: number;
  /** By the orders that are written down. */
  sold: number;
  left: number;
  /** How many orders are written down. */
  orders: number;
}

/** The stock of all products together, and what the orders say was sold of it. */
export async function stockOf(postgres: Client): Promise<Stock> {
  const { rows } = await postgres.query<Stock>(
    `select sum(initial_stock)::int as initial, sum(stock)::int as left,
            (select coalesce(sum(quantity), 0)::int from orders) as sold,
            (select count(*)::int from orders) as orders from products`,
  );
  return rows[0] ?? { initial: 0, sold: 0, left: 0, orders: 0 };
}

export interface Revenue {
  orderedCents: number;
  settledCents: number;
  /** Orders that no day's settlement holds yet. */
  unsettled: number;
}

export async function revenueOf(postgres: Client): Promise<Revenue> {
  const { rows } = await postgres.query<Revenue>(
    `select coalesce(sum(amount_cents), 0)::int as "orderedCents",
            (select coalesce(sum(revenue_cents), 0)::int from settlements) as "settledCents",
            count(*) filter (where settled_on is null)::int as unsettled from orders`,
  );
  return rows[0] ?? { orderedCents: 0, settledCents: 0, unsettled: 0 };
}
