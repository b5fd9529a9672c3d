import { INBOX_MAX_BYTES, frame, type Clock, type Link } from '../../redis/index.js';
import { debug } from '../observe/queue.debug.js';
import { EVENTS_KIND, type EventsMessage, type SentEvent } from './queue-event.js';

export interface EventSenderOptions {
  link: Pick<Link, 'send'>;
  clock: Clock;
  channel: string;
  /** The key that says that somebody listens. It tells listeners which queue it is. */
  observed: string;
  about: EventsMessage['about'];
}

/** How long after a message the next one is sent, in milliseconds. What happens meanwhile goes with it. */
const EVERY_MS = 50;
/** How many events wait at most. Beyond, they are only counted. */
const MOST = 1_000;
/** What a message has beside its events. */
const HEAD_BYTES = 4_096;

/**
 * Sends the events of one queue and group of this process, while somebody listens. Nobody waits for it, and it cannot fail: what cannot
 * be sent is counted, and the next message says how many events are missing.
 */
export class EventSender {
  readonly #options: EventSenderOptions;
  /** Until when somebody listens, on the monotonic clock; 0: nobody does. */
  #untilMs = 0;
  #waiting: string[] = [];
  /** Where the progress of a task waits. */
  readonly #progress = new Map<string, number>();
  #missed = 0;
  /** What Redis said last. */
  #wasObserved = false;
  #sentMs = -Infinity;
  #cancel: (() => void) | undefined;

  constructor(options: EventSenderOptions) {
    this.#options = options;
  }

  /** Whether somebody listens. Without a listener this costs one comparison, and nothing is made. */
  get isOn(): boolean {
    return this.#untilMs !== 0 && this.#isStillOn();
  }

  /** Somebody listens, and will for so many milliseconds; 0: Redis says that nobody does. */
  observed(ms: number): void {
    const was = this.#wasObserved;
    this.#wasObserved = ms > 0;
    if (ms === 0) {
      if (!this.isOn) this.#missed = 0;
      return;
    }
    // Redis could not be asked in between, so it is not known what was missed.
    if (was && !this.isOn) this.#missed++;
    this.#untilMs = Math.max(this.#untilMs, this.#options.clock.monoMs() + ms);
  }

  add(event: Omit<SentEvent, 'at'> & Readonly<Record<string, unknown>>): void {
    if (!this.isOn) return;
    // What comes later about a task stands behind its progress.
    this.#progress.delete(event.id);
    this.#push(JSON.stringify({ ...event, at: this.#options.clock.wallMs() }));
  }

  /** The progress of a task, as JSON. It takes the place of the one that waits. */
  progress(id: string, value: string): void {
    if (!this.isOn) return;
    const head = JSON.stringify({ type: 'progress', id, at: this.#options.clock.wallMs() });
    const text = `${head.slice(0, -1)},"value":${value}}`;
    const at = this.#progress.get(id);
    if (at !== undefined) this.#waiting[at] = text;
    else if (this.#push(text)) this.#progress.set(id, this.#waiting.length - 1);
  }

  /** Sends what waits now. */
  flush(): void {
    this.#cancel?.();
    this.#cancel = undefined;
    const { clock } = this.#options;
    const waiting = this.#waiting;
    this.#waiting = [];
    this.#progress.clear();
    if (waiting.length === 0 || !this.isOn) return;
    this.#sentMs = clock.monoMs();
    for (const part of partsOf(waiting)) void this.#send(part);
  }

  #isStillOn(): boolean {
    if (this.#options.clock.monoMs() < this.#untilMs) return true;
    this.#untilMs = 0;
    return false;
  }

  #push(text: string): boolean {
    if (this.#waiting.length >= MOST) {
      this.#missed++;
      return false;
    }
    this.#waiting.push(text);
    if (this.#cancel === undefined) {
      const { clock } = this.#options;
      const restMs = Math.max(0, this.#sentMs + EVERY_MS - clock.monoMs());
      this.#cancel = clock.timer(restMs, () => {
        this.flush();
      });
    }
    return true;
  }

  async #send(events: readonly string[]): Promise<void> {
    const { link, channel, observed, about } = this.#options;
    const missed = this.#missed;
    this.#missed = 0;
    const text = `{"about":${JSON.stringify(about)},"missed":${missed},"events":[${events.join(',')}]}`;
    try {
      await link.send('publish', [channel, frame(EVENTS_KIND, observed, text)]);
    } catch (error) {
      this.#missed += missed + events.length;
      debug?.('%s: %d events were not sent: %s', channel, events.length, error);
    }
  }
}

/** Parts that each fit into one message. */
function* partsOf(events: readonly string[]): Generator<readonly string[]> {
  let from = 0;
  let bytes = HEAD_BYTES;
  for (const [i, text] of events.entries()) {
    const more = Buffer.byteLength(text) + 1;
    if (i > from && bytes + more > INBOX_MAX_BYTES) {
      yield events.slice(from, i);
      from = i;
      bytes = HEAD_BYTES;
    }
    bytes += more;
  }
  yield events.slice(from);
}
