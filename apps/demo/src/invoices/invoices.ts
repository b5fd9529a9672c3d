import { defineQueue } from 'nestjs-sluice';

export interface Invoice {
  number: string;
}

/** A customer waits for the invoice, so there is no use in a long queue: who comes too late is told so at once. */
export const Invoices = defineQueue<{ orderId: string }>('invoices', { maxLength: { limit: 12 } }).returning<Invoice>();

/** All invoices of a year: takes long, and may be cancelled. */
export const YearlyExports = defineQueue<{ year: number }>('yearly-exports');
