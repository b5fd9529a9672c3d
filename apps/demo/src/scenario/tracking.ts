import { get, post } from '../launcher/requests.js';
import { atLeast, equal, type Step } from './step.js';

const PARCELS = 12;
const STATIONS = 6;

export interface TrackingFigures {
  /** Scans that the tracking page took. */
  noted: number;
  /** Of them, those that did not follow the one of the station before. */
  wrong: number;
  /** Scans that the page refused once, in the middle of their parcel's way. */
  refused: number;
  /** Records of the history, and those of scans that took two attempts. */
  recorded: number;
  retried: number;
  tookMs: number;
}

/** What is told of a parcel in any process is shown in the order in which it was told, though some of it fails at first. */
export const tracking: Step<TrackingFigures> = {
  title: 'Tracking: order by key, history',
  shows: `${PARCELS} parcels are scanned at ${STATIONS} stations, each by another process. The tracking page refuses the third scan of each parcel once.`,

  async play({ fleet, gateway, until }) {
    const started = performance.now();
    const { scans, refusedScans } = gateway;
    for (let station = 1; station <= STATIONS; station++) {
      await Promise.all(
        Array.from({ length: PARCELS }, (_, i) =>
          post(`${fleet.url(i + station)}/scans`, { parcel: `P-${i}`, station }),
        ),
      );
    }
    await until(() => scans.length >= PARCELS * STATIONS);
    const handled = async (): Promise<{ attempts: number }[]> =>
      (await get(`${fleet.url(0)}/scans`)).body as { attempts: number }[];
    await until(async () => (await handled()).length >= PARCELS * STATIONS);
    const records = await handled();
    return {
      noted: scans.length,
      wrong: PARCELS * STATIONS - inOrder(scans),
      refused: refusedScans.size,
      recorded: records.length,
      retried: records.filter(({ attempts }) => attempts === 2).length,
      tookMs: Math.round(performance.now() - started),
    };
  },

  judge: ({ noted, wrong, refused, recorded, retried }) => [
    equal('scans that are noted', PARCELS * STATIONS, noted),
    equal('scans out of their order', 0, wrong),
    equal('scans that were refused once', PARCELS, refused),
    equal('scans in the history', PARCELS * STATIONS, recorded),
    atLeast('and tried again, as it says', PARCELS, retried),
  ],

  rows: ({ noted, refused, wrong, recorded, retried, tookMs }) => [
    ['scans', `${noted}, ${refused} of them refused at first`],
    ['out of order', wrong],
    ['history', `${recorded}, ${retried} with two attempts`],
    ['all done after', `${tookMs} ms`],
  ],
};

/** How many scans followed the one of the station before. */
function inOrder(scans: readonly { parcel: string; station: number }[]): number {
  const seen = new Map<string, number>();
  return scans.filter(({ parcel, station }) => {
    const isNext = station === (seen.get(parcel) ?? 0) + 1;
    if (isNext) seen.set(parcel, station);
    return isNext;
  }).length;
}
