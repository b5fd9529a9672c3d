import type { RatedScriptBed } from './rated-script-bed.js';
import { count } from '../support/queue-state.js';
import type { Growth, Prepare } from '../support/script-costs.js';

type Row = readonly [name: string, of: string, growth: Growth, prepare: Prepare];

const MANY = 100_000;
const ROOM = { capacity: MANY, readMost: 100 };

/** The scripts of which `rateCosts` tells. */
export const RATED_SCRIPTS = ['queue:take-by-rate', 'queue:heal-rates', 'queue:return-unstarted'];

/** The commands of the scripts for rates of keys, against the number of something. */
export function rateCosts(bed: RatedScriptBed): readonly Row[] {
  /** `n` tasks of each of `of` keys, of which one has started in the last hour. */
  const waiting = async (of: number, n: number): Promise<void> => {
    await bed.declare();
    await bed.open();
    for (const key of count(of)) await bed.publish(new Array<string>(n + 1).fill(`key ${key}`));
    await bed.take({ ...ROOM, limit: 1 });
  };
  const due = async (): Promise<void> => {
    await bed.lapse();
    for (const key of await bed.due()) await bed.makeDue(key);
  };
  return [
    [
      'queue:take-by-rate',
      'new tasks that it gives',
      'bounded',
      async (n) => {
        await bed.declare();
        await bed.open();
        await bed.publish(count(n).map((key) => `key ${key}`));
        return () => bed.take(ROOM);
      },
    ],
    [
      'queue:take-by-rate',
      'new tasks that have to wait',
      'linear',
      async (n) => {
        await waiting(1, 1);
        await bed.publish(count(n).flatMap((key) => [`key ${key}`, `key ${key}`]));
        return () => bed.take({ ...ROOM, limit: 1 });
      },
    ],
    [
      'queue:take-by-rate',
      'tasks that wait for later',
      'bounded',
      async (n) => {
        await waiting(n, 5);
        return () => bed.take({ ...ROOM, limit: 1 });
      },
    ],
    [
      'queue:take-by-rate',
      'waiting tasks that it gives',
      'linear',
      async (n) => {
        await waiting(n, 1);
        await due();
        return () => bed.take(ROOM);
      },
    ],
    [
      'queue:take-by-rate',
      'keys that are due beyond the room',
      'bounded',
      async (n) => {
        await waiting(n, 1);
        await due();
        return () => bed.take({ capacity: 2 });
      },
    ],
    [
      'queue:return-unstarted',
      'tasks that it returns',
      'linear',
      async (n) => {
        await bed.declare();
        await bed.open();
        const ids = await bed.publish(count(n).map((key) => `key ${key}`));
        await bed.take(ROOM);
        return () => bed.returnUnstarted(ids);
      },
    ],
    [
      'queue:heal-rates',
      'tasks that wait',
      'bounded',
      async (n) => {
        await waiting(5, 20 * n);
        return () => bed.healOnce();
      },
    ],
  ];
}
