import { revenueOf, stockOf, type Revenue, type Stock } from '../launcher/books.js';
import { equal, type Step } from './step.js';

export interface BooksFigures extends Stock, Revenue {}

/** All that was sold and earned, read back from Postgres. */
export const closingTheBooks: Step<BooksFigures> = {
  title: 'The books',
  shows:
    'What was sold left the stock, and what was earned was settled: read back from Postgres, over all orders of this run.',

  async play({ postgres, until }) {
    // The next day settles what came in today.
    await until(async () => (await revenueOf(postgres.client)).unsettled === 0);
    return { ...(await stockOf(postgres.client)), ...(await revenueOf(postgres.client)) };
  },

  judge: ({ initial, sold, left, orderedCents, settledCents, unsettled }) => [
    equal('stock = initial - sold', initial - sold, left),
    equal('every order is settled: unsettled', 0, unsettled),
    equal('revenue is settled once', orderedCents, settledCents),
  ],

  rows: ({ initial, sold, left, settledCents }) => [
    ['initial stock', initial],
    ['sold', sold],
    ['left', left],
    ['revenue', (settledCents / 100).toFixed(2)],
  ],
};
