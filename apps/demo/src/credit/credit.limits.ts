import { defineRateLimit } from 'nestjs-sluice';

/** What one customer may ask. */
export const CreditChecks = defineRateLimit('credit', { limit: 10, perMs: 60_000 });

/** What the agency takes from all our processes together. Calls wait for their turn. */
export const Agency = defineRateLimit('agency', { limit: 20, perMs: 1_000, mode: 'pace' });
