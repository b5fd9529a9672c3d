import { runScheduleScript } from '../../libs/queue/store/scripts/run-schedule.script.js';
import { listSchedulesScript } from '../../libs/queue/store/scripts/list-schedules.script.js';
import { orphanSchedulesScript } from '../../libs/queue/store/scripts/orphan-schedules.script.js';
import { switchScheduleScript } from '../../libs/queue/store/scripts/switch-schedule.script.js';
import { ScheduleBed, stored } from './schedule-bed.js';
import type { Growth, Prepare } from '../support/script-costs.js';

type Row = readonly [name: string, of: string, growth: Growth, prepare: Prepare];

/** The commands of the scripts of schedules against the number of something. */
export function scheduleCosts(bed: ConstructorParameters<typeof ScheduleBed>[0]): readonly Row[] {
  const schedules = new ScheduleBed(bed);
  const some = (n: number) => Array.from({ length: n }, (_, i) => stored(`schedule-${i}`, { everyMs: 1_000 }));
  const { keys } = schedules;
  const declared = async (n: number, firstMs = 9e12): Promise<void> => {
    await schedules.declare(some(n), { firstMs, consumer: 'sluice:dead' });
  };
  return [
    [
      'queue:declare-schedules',
      'schedules that it looks at',
      'linear',
      async (n) => {
        await declared(n);
        return () => schedules.declare(some(n));
      },
    ],
    [
      'queue:declare-schedules',
      'schedules that are stored',
      'bounded',
      async (n) => {
        await declared(n);
        return () => schedules.declare(some(1));
      },
    ],
    [
      'queue:fire-schedules',
      'instants that it publishes',
      'linear',
      async (n) => {
        await declared(1);
        await schedules.setNext(1_000, { id: 'schedule-0' });
        const [{ fingerprint } = { fingerprint: '' }] = some(1);
        const instants = Array.from({ length: n }, (_, i) => (i + 1) * 1_000);
        return () => schedules.fire([{ id: 'schedule-0', fingerprint, nextMs: 1_000, followingMs: 9e12, instants }]);
      },
    ],
    [
      'queue:fire-schedules',
      'schedules that are stored',
      'bounded',
      async (n) => {
        await declared(n);
        return () => schedules.fire([], 5);
      },
    ],
    [
      'queue:list-schedules',
      'schedules',
      'linear',
      async (n) => {
        await declared(n);
        return () => listSchedulesScript.run(bed.link, { keys, args: { cursor: '0', count: 1_000 } });
      },
    ],
    [
      'queue:orphan-schedules',
      'schedules',
      'linear',
      async (n) => {
        await declared(n);
        return () => orphanSchedulesScript.run(bed.link, { keys, args: { reportAfterMs: 0, pauseAfterMs: -1 } });
      },
    ],
    [
      'queue:run-schedule',
      'schedules',
      'bounded',
      async (n) => {
        await declared(n);
        return () => runScheduleScript.run(bed.link, { keys, args: { id: 'schedule-0', task: 't' } });
      },
    ],
    [
      'queue:switch-schedule',
      'schedules',
      'bounded',
      async (n) => {
        await declared(n);
        const call = {
          keys: { ...keys, removed: `${keys.states}:removed` },
          args: { action: 'pause', id: 'schedule-0', inboxes: '' },
        };
        return () => switchScheduleScript.run(bed.link, call);
      },
    ],
  ];
}
