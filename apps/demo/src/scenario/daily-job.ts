import { equal, type Step } from './step.js';

const TICKS = 5;

export interface DailyJobFigures {
  ticks: number;
  /** How often the job ran in that time, in all processes together. */
  runs: number;
  /** The most that it ran at one tick. */
  most: number;
  /** Ticks at which it ran exactly once. */
  onceAt: number;
  /** Runs by process. */
  byProcess: Record<string, number>;
}

/** A job that is scheduled in every process and runs in one of them at each tick. */
export const dailyJob: Step<DailyJobFigures> = {
  title: 'A scheduled job: @Cron and @WithLock',
  shows: `Every process has daily_job on its schedule, each second. Watched for ${TICKS} ticks in a row.`,

  async play({ postgres, until }) {
    const first = Math.ceil(Date.now() / 1_000) + 1;
    const last = first + TICKS - 1;
    // A run belongs to the nearest tick, and that of the last one may come up to half a second late.
    await until(() => Date.now() >= last * 1_000 + 500);
    const { rows } = await postgres.client.query<{ day: number; by: string; runs: number }>(
      'select day::int, settled_by as by, runs from settlements where day between $1 and $2',
      [first, last],
    );
    const ticks = Array.from({ length: TICKS }, (_, i) => first + i);
    const byProcess: Record<string, number> = {};
    for (const { by, runs } of rows) byProcess[by] = (byProcess[by] ?? 0) + runs;
    return {
      ticks: TICKS,
      runs: rows.reduce((sum, { runs }) => sum + runs, 0),
      most: Math.max(0, ...rows.map(({ runs }) => runs)),
      onceAt: ticks.filter((tick) => rows.some(({ day, runs }) => day === tick && runs === 1)).length,
      byProcess,
    };
  },

  judge: ({ ticks, runs, onceAt }) => [
    equal('the job ran as often as the clock ticked', ticks, runs),
    equal('ticks at which it ran exactly once', ticks, onceAt),
  ],

  rows: ({ ticks, runs, byProcess }) => [
    ['ticks', ticks],
    ['runs', runs],
    ...Object.entries(byProcess)
      .sort()
      .map(([name, count]): [string, number] => [`in ${name}`, count]),
  ],
};
