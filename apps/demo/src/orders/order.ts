import { defineQueue } from 'nestjs-sluice';

/** What a customer sends, once it is validated. */
export interface Order {
  productId: number;
  customerId: number;
  quantity: number;
  card: string;
}

/** An order's way: in the queue, then written down or given up. */
export interface OrderStatus {
  id: string;
  state: 'accepted' | 'completed';
  amountCents?: number;
}

/** The queue of accepted orders. Publisher and handler share its name and its type. */
export const Orders = defineQueue<Order>('tasks');
