import { defineQueue } from 'nestjs-sluice';

/** What the carrier tells of a parcel: it was seen at the station of this number. */
export interface Scan {
  parcel: string;
  station: number;
}

/** The scans of one parcel are handled in order, one at a time. The last ones that were handled can be looked at. */
export const Scans = defineQueue<Scan>('scans', {
  orderingKey: ({ parcel }) => parcel,
  history: { completed: 200 },
});
