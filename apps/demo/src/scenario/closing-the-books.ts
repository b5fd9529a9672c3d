import { revenueOf, stockOf, type Revenue, type Stock } from '../launcher/books.js';
import { notedOf } from '../launcher/queue-keys.js';
import { equal, type Step } from './step.js';

export interface BooksFigures extends Stock, Revenue {
  /** Goods, by the counter in Redis. */
  counted: number;
  /** Orders that are packed. */
  packed: number;
}

/** All that was sold and earned, read back from Postgres, and what went with the acknowledgements, from Redis. */
export const closingTheBooks: Step<BooksFigures> = {
  title: 'The books',
  shows:
    'What was sold left the stock and was counted, and what was earned was settled and packed: over all orders of this run.',

  async play({ postgres, redis, namespace, until }) {
    // The next day settles what came in today.
    await until(async () => (await revenueOf(postgres.client)).unsettled === 0);
    const stock = await stockOf(postgres.client);
    await until(async () => (await notedOf(redis.client, namespace)).packed >= stock.orders);
    return { ...stock, ...(await revenueOf(postgres.client)), ...(await notedOf(redis.client, namespace)) };
  },

  judge: ({ initial, sold, left, orders, orderedCents, settledCents, unsettled, counted, packed }) => [
    equal('stock = initial - sold', initial - sold, left),
    equal('the counter in Redis has what was sold', sold, counted),
    equal('every order is packed', orders, packed),
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
