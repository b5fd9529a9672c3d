import { BriefMap } from '../redis/index.js';
import type { Flight } from './loading/flight.js';
import type { ReadRequest } from './loading/read-context.js';

/**
 * The reads of one process that other requests may join. An entry nearly always has one flight. It has several if callers ask
 * with options that exclude one another.
 */
export class Flights {
  readonly #byEntry = new BriefMap<string, Flight>();

  /** The flight that this request joins, if there is one. */
  find(request: ReadRequest): Flight | undefined {
    for (let flight = this.#byEntry.get(request.entry); flight; flight = flight.next) {
      if (flight.accepts(request)) return flight;
    }
    return undefined;
  }

  /** The flight that was started last. */
  latest(entry: string): Flight | undefined {
    return this.#byEntry.get(entry);
  }

  /** Adds a flight. Older flights of the entry stay only if they serve requests with other options. */
  add(flight: Flight): void {
    const { entry } = flight.request;
    let older = this.#byEntry.get(entry);
    while (older?.serves(flight.request) === true) older = older.next;
    flight.next = older;
    this.#byEntry.set(entry, flight);
  }

  /** No request joins this flight any more. */
  remove(flight: Flight): void {
    const { entry } = flight.request;
    const first = this.#byEntry.get(entry);
    if (first === flight) {
      if (flight.next) this.#byEntry.set(entry, flight.next);
      else this.#byEntry.delete(entry);
      return;
    }
    for (let each = first; each; each = each.next) if (each.next === flight) each.next = flight.next;
  }

  /** No request joins any flight of this entry any more. */
  removeAll(entry: string): void {
    this.#byEntry.delete(entry);
  }

  /** No request joins the flights for which this returns true any more. */
  removeWhere(concerned: (flight: Flight) => boolean): void {
    for (const [, first] of this.#byEntry.entries()) {
      for (let each: Flight | undefined = first; each; each = each.next) if (concerned(each)) this.remove(each);
    }
  }
}
