import { defineQueue, type TaskState } from 'nestjs-sluice';

/** What a customer sends, once it is validated. */
export interface Order {
  productId: number;
  customerId: number;
  quantity: number;
  card: string;
}

/** An order's way: where its task is, until it is written down. */
export interface OrderStatus {
  id: string;
  state: TaskState | 'completed';
  amountCents?: number;
}

/** The queue of accepted orders. Publisher and handler share its name and its type. */
export const Orders = defineQueue<Order>('tasks');
