import { defineQueue } from 'nestjs-sluice';

/** A parcel that needs a label of the carrier. */
export interface Parcel {
  orderId: number;
}

/** Parcels of the next day wait for those that leave today. Every process that publishes or handles them knows the levels. */
export const Parcels = defineQueue<Parcel>('parcels', { shares: true });
