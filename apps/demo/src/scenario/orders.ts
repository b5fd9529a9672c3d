import { chargesOf, completed } from '../launcher/books.js';
import type { Card } from '../launcher/gateway.js';
import { queueOf } from '../launcher/queue-keys.js';
import { placeOrders } from './place-orders.js';
import { equal, type Step } from './step.js';

const CARDS: Card[] = [
  ...Array<Card>(240).fill('good'),
  ...Array<Card>(40).fill('fails-once'),
  ...Array<Card>(20).fill('fails-always'),
];
const RETRIED = CARDS.filter((card) => card === 'fails-once').length;
const DEAD = CARDS.filter((card) => card === 'fails-always').length;
/** As in the app's @TaskHandler. */
const MAX_ATTEMPTS = 3;

export interface OrdersFigures {
  placed: number;
  /** Answered with 202. */
  accepted: number;
  /** Written down in Postgres. */
  completed: number;
  /** Charges that went through, by the gateway's ledger. */
  paid: number;
  /** Of them after a decline. */
  retried: number;
  /** Dead letters in Redis. */
  dead: number;
  /** Charges that the gateway was asked for. */
  attempts: number;
  /** Tasks left in the queue. */
  left: number;
  tookMs: number;
}

/** Orders that succeed, that fail once and that fail for good: none is lost, and the books balance. */
export const orders: Step<OrdersFigures> = {
  title: 'Orders through a queue: @TaskHandler',
  shows: `${CARDS.length} orders are accepted at once and charged in the background. The gateway declines ${RETRIED} of them once and ${DEAD} always.`,

  async play({ fleet, gateway, postgres, redis, namespace, until }) {
    const started = performance.now();
    const queue = queueOf(redis.client, namespace);
    const deadBefore = await queue.dead();
    const ids = await placeOrders(fleet, CARDS);
    await until(async () => {
      const dead = (await queue.dead()) - deadBefore;
      return (await completed(ids, postgres.client)) + dead >= ids.length && (await queue.left()) === 0;
    });
    const { paid, retried, attempts } = chargesOf(ids, gateway);
    return {
      placed: CARDS.length,
      accepted: ids.length,
      completed: await completed(ids, postgres.client),
      paid,
      retried,
      dead: (await queue.dead()) - deadBefore,
      attempts,
      left: await queue.left(),
      tookMs: Math.round(performance.now() - started),
    };
  },

  judge: ({ placed, accepted, completed, paid, retried, dead, attempts, left }) => [
    equal('every order is accepted', placed, accepted),
    equal('the books balance: completed + dead', accepted, completed + dead),
    equal('every completed order was charged once', completed, paid),
    equal('those that failed once were retried and paid', RETRIED, retried),
    equal('those that always fail are dead letters', DEAD, dead),
    equal('every order was tried as often as it takes', placed + RETRIED + DEAD * (MAX_ATTEMPTS - 1), attempts),
    equal('nothing is left in the queue', 0, left),
  ],

  rows: ({ accepted, completed, retried, dead, tookMs }) => [
    ['accepted', accepted],
    ['completed', completed],
    ['of them retried', retried],
    ['dead letters', dead],
    ['all done after', `${tookMs} ms`],
  ],
};
