import { defineQueue, type TaskState } from 'nestjs-sluice';
import { settings } from '../settings.js';

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

/** What has this hash tag lies in the Cluster slot of the orders, so one step can change both. */
const BESIDE_ORDERS = `{${settings.namespace}:${Orders.name}}`;

/** The queue of orders to pack. */
export const Packing = defineQueue<{ orderId: string; quantity: number }>(`${BESIDE_ORDERS}.packing`);

/** A hash in Redis for the shop's start page: product → how many were sold. */
export const SOLD = `${BESIDE_ORDERS}:sold`;

/** A set in Redis: the orders that are packed. */
export const PACKED = `${BESIDE_ORDERS}:packed`;
