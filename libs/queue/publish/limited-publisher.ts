import { badOption } from '../../weave/index.js';
import type { Clock, Link } from '../../redis/index.js';
import type { ResolvedLengthLimit } from '../limits/length-limit.js';
import { QueueFullError } from '../queue.errors.js';
import type { QueueKeys } from '../store/queue.keys.js';
import { publishLimitedScript } from '../store/scripts/publish-limited.script.js';
import { dueInMs, isDelayed, type Item, type SentOptions } from './publish.options.js';
import { RoomLine } from './room-line.js';
import { SendWindow } from './send-window.js';

/** Tasks of one call at most, and characters of their payloads: all of them are one script, and all other clients wait for it. */
const TASKS_MOST = 1_000;
const CHARS_MOST = 4 * 1024 * 1024;

export interface LimitedPublisherOptions {
  link: Link;
  clock: Clock;
  /** The prefix of the names of inboxes. */
  inboxes: string;
  newId: () => string;
  meta: (options: SentOptions, own?: { id?: string | undefined }) => string;
  /** Tasks were published that are due in `delayMs`. */
  onDelayed: (queue: string, keys: QueueKeys, delayMs: number) => void;
}

/** Publishes to queues with a `maxLength`. */
export class LimitedPublisher {
  readonly #options: LimitedPublisherOptions;
  readonly #window = new SendWindow();
  /** Publishes that wait, by stream. */
  readonly #lines = new Map<string, RoomLine>();

  constructor(options: LimitedPublisherOptions) {
    this.#options = options;
  }

  /**
   * Publishes all tasks, or none. Resolves with their ids.
   *
   * @throws QueueFullError; SluiceError `SLUICE_BAD_OPTION` if they are too many for one call, or for the queue
   */
  async publish(
    queue: string,
    keys: QueueKeys,
    items: readonly Item[],
    limit: ResolvedLengthLimit,
  ): Promise<readonly string[]> {
    if (items.length === 0) return [];
    refuseTooMany(queue, items, limit);
    const signal = signalOf(items);
    signal?.throwIfAborted();
    const waiting = this.#lines.get(keys.stream);
    let length = limit.limit;
    const look = async (): Promise<readonly string[] | undefined> => {
      const { ids, length: found } = await this.#send(queue, keys, items, limit.limit);
      if (found !== undefined) length = found;
      return ids;
    };
    // Those that wait already come first.
    const ids = waiting === undefined ? await look() : undefined;
    if (ids !== undefined) return ids;
    if (limit.onFull === 'reject') throw new QueueFullError(queue, limit.limit, length);
    const line = this.#lines.get(keys.stream) ?? new RoomLine(this.#options.clock);
    this.#lines.set(keys.stream, line);
    try {
      const later = await line.wait(limit.waitMs, signal, look);
      if (later !== undefined) return later;
      throw new QueueFullError(queue, limit.limit, length, `, also after ${limit.waitMs} ms`);
    } finally {
      if (line.isEmpty) this.#lines.delete(keys.stream);
    }
  }

  /** Publishes delayed tasks, some of which have ordering keys, to a queue without a limit. Resolves with their ids. */
  async delayed(queue: string, keys: QueueKeys, items: readonly Item[]): Promise<string[]> {
    const { ids = [] } = await this.#send(queue, keys, items, Number.MAX_SAFE_INTEGER);
    return [...ids];
  }

  async #send(
    queue: string,
    keys: QueueKeys,
    items: readonly Item[],
    limit: number,
  ): ReturnType<typeof publishLimitedScript.run> {
    const { link, clock, inboxes, newId, meta, onDelayed } = this.#options;
    const { stream, delayed, bodies, alive, side } = keys;
    const rest = items.flatMap(({ payload, options }) => {
      const later = isDelayed(options);
      const id = later ? newId() : undefined;
      const { delayMs = 0, runAt, orderingKey = '' } = options;
      return [id ?? '', payload, meta(options, { id }), later ? delayMs : 0, runAt?.getTime() ?? -1, orderingKey];
    });
    if (!this.#window.enter()) await this.#window.turn();
    try {
      const published = await publishLimitedScript.run(link, {
        keys: { stream, delayed, bodies, alive },
        args: { limit, side, inboxes, timestamp: String(Math.floor(clock.wallMs() / 1_000)) },
        rest,
      });
      if (published.ids === undefined) return published;
      const dueMs = Math.min(...items.map(({ options }) => dueInMs(options, clock)));
      if (dueMs < Infinity) onDelayed(queue, keys, dueMs);
      return published;
    } finally {
      this.#window.leave();
    }
  }
}

function refuseTooMany(queue: string, items: readonly Item[], { limit }: ResolvedLengthLimit): void {
  const most = Math.min(limit, TASKS_MOST);
  const why = `: queue '${queue}' has a maxLength, so they are published all or none`;
  if (items.length > most) throw badOption('publishMany: payloads', `at most ${most}${why}`, items.length);
  const chars = items.reduce((sum, { payload }) => sum + payload.length, 0);
  if (items.length > 1 && chars > CHARS_MOST) {
    throw badOption('publishMany: payloads', `at most ${CHARS_MOST} characters of JSON in all${why}`, chars);
  }
}

/** Any of the signals ends the call. */
function signalOf(items: readonly Item[]): AbortSignal | undefined {
  const signals = [...new Set(items.flatMap(({ options: { signal } }) => (signal ? [signal] : [])))];
  return signals.length > 1 ? AbortSignal.any(signals) : signals[0];
}
