import { IsIn, IsInt, Max, Min } from 'class-validator';
import type { Order } from './order.js';

export class PlaceOrderDto implements Order {
  @IsInt()
  @Min(1)
  productId!: number;

  @IsInt()
  @Min(1)
  customerId!: number;

  @IsInt()
  @Min(1)
  @Max(100)
  quantity!: number;

  /** The test gateway's cards: one that is charged, one that is declined once, one that is always declined. */
  @IsIn(['good', 'fails-once', 'fails-always'])
  card!: string;
}
