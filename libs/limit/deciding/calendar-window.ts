import type { CalendarUnit } from '../limit.options.js';

/** From `startMs` until just before `endMs`, Unix milliseconds. */
export interface CalendarWindow {
  readonly startMs: number;
  readonly endMs: number;
}

const DAY_MS = 86_400_000;

/** The windows of one calendar unit in one time zone. The last one is kept, because most calls fall into it. */
export class Calendar {
  readonly #unit: CalendarUnit;
  readonly #format: Intl.DateTimeFormat;
  #last: CalendarWindow = { startMs: 0, endMs: 0 };

  constructor(unit: CalendarUnit, timeZone: string) {
    this.#unit = unit;
    this.#format = new Intl.DateTimeFormat('en-US', {
      timeZone,
      hourCycle: 'h23',
      year: 'numeric',
      month: 'numeric',
      day: 'numeric',
      hour: 'numeric',
      minute: 'numeric',
      second: 'numeric',
    });
  }

  at(ms: number): CalendarWindow {
    const { startMs, endMs } = this.#last;
    if (ms < startMs || ms >= endMs) this.#last = this.#windowAt(ms);
    return this.#last;
  }

  #windowAt(ms: number): CalendarWindow {
    const local = new Date(this.#local(ms));
    const [year, month, day] = [local.getUTCFullYear(), local.getUTCMonth(), local.getUTCDate()];
    // Monday is the first day.
    const first = { day, week: day - ((local.getUTCDay() + 6) % 7), month: 1 }[this.#unit];
    const next = { day: [month, first + 1], week: [month, first + 7], month: [month + 1, 1] }[this.#unit] as [
      number,
      number,
    ];
    return { startMs: this.#midnight(Date.UTC(year, month, first)), endMs: this.#midnight(Date.UTC(year, ...next)) };
  }

  /** The wall clock of the zone, as if it were that of UTC. */
  #local(ms: number): number {
    const parts = Object.fromEntries(this.#format.formatToParts(ms).map(({ type, value }) => [type, Number(value)]));
    const { year = 0, month = 1, day = 1, hour = 0, minute = 0, second = 0 } = parts;
    return Date.UTC(year, month - 1, day, hour, minute, second);
  }

  /** When a local day begins: at midnight, or where the clocks skip midnight, right after that. */
  #midnight(localMs: number): number {
    const offsets = [localMs - DAY_MS, localMs + DAY_MS].map((ms) => this.#local(ms) - ms);
    const found = offsets.map((offset) => localMs - offset).filter((ms) => this.#local(ms) >= localMs);
    return Math.min(...found);
  }
}
