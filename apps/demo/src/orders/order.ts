import { defineQueue } from 'nestjs-sluice';

export interface Order {
  id: string;
  product: string;
  amountCents: number;
  card: string;
}

/** What a customer sends. */
export type PlaceOrder = Omit<Order, 'id'>;

/** The queue of accepted orders. Publisher and handler share its name and its type. */
export const Orders = defineQueue<Order>('tasks');
