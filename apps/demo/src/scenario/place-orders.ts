import type { Card } from '../launcher/gateway.js';
import { post } from '../launcher/requests.js';
import type { Fleet } from '../launcher/fleet.js';

/** Few enough that orders meet at their products' locks. */
const PRODUCTS = 5;

/** Places an order per card, all at once and over all processes. Returns the ids of those that were accepted. */
export async function placeOrders(fleet: Fleet, cards: readonly Card[]): Promise<string[]> {
  const replies = await Promise.all(
    cards.map((card, turn) =>
      post(`${fleet.url(turn)}/orders`, {
        productId: 1 + (turn % PRODUCTS),
        customerId: 1 + (turn % 100),
        quantity: 1 + (turn % 3),
        card,
      }),
    ),
  );
  return replies.filter(({ status }) => status === 202).map(({ body }) => (body as { id: string }).id);
}
