import { chargesOf, completed } from '../launcher/books.js';
import { Gateway, type Card } from '../launcher/gateway.js';
import { queueOf } from '../launcher/queue-keys.js';
import { get } from '../launcher/requests.js';
import { placeOrders } from './place-orders.js';
import { atLeast, equal, within, type Step } from './step.js';

/** So many that, after the last was accepted, there is still work for more than a second. */
const ORDERS = 120;
const CHARGE_TAKES_MS = 500;
const RECOVERED_WITHIN_MS = 15_000;

export interface KilledProcessFigures {
  accepted: number;
  completed: number;
  /** Charges that went through. */
  paid: number;
  dead: number;
  /** Tasks left in the queue. */
  left: number;
  /** The process that was killed. */
  killed: string;
  /** Orders that it was charging at that moment. */
  inFlight: number;
  /** From the kill until the last of those was paid by another process; null if one never was. */
  recoveredMs: number | null;
  /** The status with which the process answers after its restart. */
  answersAgain: number;
}

/** A process dies with orders half done. The others finish them. */
export const killedProcess: Step<KilledProcessFigures> = {
  title: 'A process killed in mid-work: recovery',
  shows: `${ORDERS} orders, each of which takes the gateway ${CHARGE_TAKES_MS} ms. One process gets SIGKILL while it charges.`,

  async play({ fleet, gateway, postgres, redis, namespace, until }) {
    const queue = queueOf(redis.client, namespace);
    const deadBefore = await queue.dead();
    gateway.slownessMs = CHARGE_TAKES_MS;
    const ids = await placeOrders(fleet, Array<Card>(ORDERS).fill('good'));

    const running = (by: string) => gateway.ledger.filter((charge) => charge.by === by && charge.outcome === 'running');
    const busiest = () => [...fleet.apps].sort((a, b) => running(b.name).length - running(a.name).length)[0];
    const begun = () => ids.filter((id) => gateway.chargesOf(id).length > 0).length;
    // Five show more than one. A busy machine may never have as many at once.
    const enough = () => (begun() < ORDERS / 2 ? 5 : 1);
    await until(() => running(busiest()?.name ?? '').length >= enough() || begun() === ids.length);
    const victim = busiest();
    if (!victim) throw new Error('there is no process to kill');
    // A charge that is about to end would be answered before the kill arrives.
    gateway.unanswered = victim.name;
    const killedAt = performance.now();
    await victim.kill();
    // The gateway notices by the sockets, which the kernel closes.
    await until(() => running(victim.name).length === 0);
    gateway.unanswered = undefined;
    const lost = gateway.ledger.filter((charge) => charge.by === victim.name && charge.outcome === 'abandoned');

    await until(async () => (await completed(ids, postgres.client)) === ids.length && (await queue.left()) === 0);
    gateway.slownessMs = Gateway.usualSlownessMs;
    await victim.start();
    return {
      accepted: ids.length,
      completed: await completed(ids, postgres.client),
      paid: chargesOf(ids, gateway).paid,
      dead: (await queue.dead()) - deadBefore,
      left: await queue.left(),
      killed: victim.name,
      inFlight: lost.length,
      recoveredMs: recoveredMs(
        lost.map((charge) => charge.order),
        gateway,
        killedAt,
      ),
      answersAgain: (await get(`${victim.url}/products/1`)).status,
    };
  },

  judge: ({ accepted, completed, paid, dead, left, inFlight, recoveredMs, answersAgain }) => [
    equal('every order is accepted', ORDERS, accepted),
    atLeast('it was killed in mid-work: orders in flight', 1, inFlight),
    within('what it was doing is finished elsewhere', RECOVERED_WITHIN_MS, recoveredMs),
    equal('nothing is lost: completed', accepted, completed),
    equal('nobody pays twice: charges', completed, paid),
    equal('nothing is blamed for it: dead letters', 0, dead),
    equal('nothing is left in the queue', 0, left),
    equal('the process is back and answers', 200, answersAgain),
  ],

  rows: ({ accepted, completed, killed, inFlight, recoveredMs }) => [
    ['accepted', accepted],
    ['completed', completed],
    ['killed', killed],
    ['orders in flight', inFlight],
    ['finished elsewhere', recoveredMs === null ? 'never' : `after ${recoveredMs} ms`],
  ],
};

function recoveredMs(orders: readonly string[], { ledger }: Gateway, killedAt: number): number | null {
  const paid = ledger.filter((charge) => charge.outcome === 'paid' && orders.includes(charge.order));
  if (paid.length < orders.length) return null;
  return Math.round(Math.max(...paid.map((charge) => charge.endedAt)) - killedAt);
}
