import { randomBytes } from 'node:crypto';
import { Loop, isUnavailable, type Clock, type Inbox, type Link } from '../../redis/index.js';
import { SluiceError } from '../../weave/index.js';
import { debug } from '../observe/queue.debug.js';
import { resultKey, type QueueKeys } from '../store/queue.keys.js';
import { outcomeOf, type Outcome } from './outcome.js';
import { tellProgress, type WaitRequest } from './wait.options.js';

export interface TaskWaitsOptions {
  link: Link;
  inbox: Pick<Inbox, 'on' | 'onResync' | 'proven'>;
  clock: Clock;
  /** How long a stop lets waits go on, in milliseconds. */
  drainMs: number;
  log: { warn(message: string): void };
}

/** How a wait has ended: with an outcome, with an error, or with neither, when its time was over. */
export interface WaitEnd {
  readonly outcome?: Outcome;
  readonly error?: unknown;
}

/** How a wait begins. */
export interface WaitParts {
  readonly waitMs: number;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: WaitRequest['onProgress'];
}

/** One wait for the end of a task. */
export class TaskWait {
  /** 132 bits: unique in the fleet. */
  readonly token = randomBytes(17).toString('base64url').slice(0, 22);
  /** Where the outcome is kept. */
  readonly key: string;
  /** Resolves in any case, and never rejects. */
  readonly ended: Promise<WaitEnd>;
  /** Whether an outcome was announced that is too large for a message. */
  isKept = false;
  /** Ends the timer and the listener of the wait. */
  release = (): void => {};
  resolve: (end: WaitEnd) => void = () => {};

  constructor(
    readonly queue: string,
    keys: QueueKeys,
    readonly onProgress?: WaitRequest['onProgress'],
  ) {
    this.key = resultKey(keys, this.token);
    this.ended = new Promise((resolve) => {
      this.resolve = resolve;
    });
  }
}

/** How often the waits are looked at, in milliseconds. */
const LOOK_MS = 1_000;
/** If the inbox was last proven longer ago, messages may be lost, and each wait asks Redis. */
const HEARD_MS = 2_500;
/** How long the last look of a wait takes at most. */
const LAST_LOOK_MS = 1_000;
/** Waits that ask Redis in one turn of the event loop. */
const CHUNK = 500;

/**
 * The waits of this process for the ends of tasks. The outcome comes by a message to the inbox of this process. The message only saves
 * time: what it says is kept in Redis as long as the wait takes. So a wait asks Redis when messages may have been lost, each second
 * while it is not known that messages arrive, and once more when its time is over. No wait outlives its time or the app.
 */
export class TaskWaits {
  readonly #options: TaskWaitsOptions;
  readonly #waits = new Map<string, TaskWait>();
  readonly #loop: Loop;
  /** How often messages may have been lost, and up to which of these times all waits have asked Redis. */
  #resyncs = 0;
  #asked = 0;
  #closed = false;
  #isListening = false;
  #drained = (): void => {};
  #cancelDrain = (): void => {};

  constructor(options: TaskWaitsOptions) {
    this.#options = options;
    const { clock, log } = options;
    this.#loop = new Loop({
      name: 'waits for results',
      clock,
      turn: () => this.#turn(),
      onError: (error) => {
        // The connection reports outages.
        if (!isUnavailable(error)) log.warn(`results of tasks cannot be read: ${String(error)}`);
      },
    });
  }

  /**
   * Begins a wait. Call it before the task is published: the message may come before the reply of the publish.
   *
   * @throws SluiceError `SLUICE_CLOSED`; the reason of a `signal` that is aborted already
   */
  begin(queue: string, keys: QueueKeys, { waitMs, signal, onProgress }: WaitParts): TaskWait {
    if (this.#closed) throw closed(queue, 'nothing was published');
    signal?.throwIfAborted();
    this.#listen();
    const wait = new TaskWait(queue, keys, onProgress);
    const abort = (): void => {
      this.#end(wait, { error: signal?.reason });
    };
    signal?.addEventListener('abort', abort, { once: true });
    const cancel = this.#options.clock.timer(waitMs, () => void this.#lastLook(wait));
    wait.release = () => {
      cancel();
      signal?.removeEventListener('abort', abort);
    };
    this.#waits.set(wait.token, wait);
    // In this order, the loop's first turn is not followed by a second one at once.
    this.#loop.wake();
    this.#loop.start();
    return wait;
  }

  /** Ends a wait whose task was not published. */
  forget(wait: TaskWait): void {
    this.#end(wait, {});
  }

  /** The app stops: from now on, waits have `drainMs`. Resolves when none is left. */
  drain(): Promise<void> {
    return new Promise((resolve) => {
      this.#drained = resolve;
      this.#cancelDrain = this.#options.clock.timer(this.#options.drainMs, () => {
        this.#close();
      });
      if (this.#waits.size === 0) resolve();
    });
  }

  async stop(): Promise<void> {
    this.#cancelDrain();
    this.#close();
    await this.#loop.stop();
  }

  /** With the first wait. */
  #listen(): void {
    if (this.#isListening) return;
    this.#isListening = true;
    const { inbox } = this.#options;
    inbox.on('queue:result', ([token = '', kind = '', text = '']) => {
      this.#receive(token, kind, text);
    });
    inbox.on('queue:progress', ([token = '', value = '']) => {
      this.#progress(token, value);
    });
    inbox.onResync(() => {
      this.#resyncs++;
      this.#loop.wake();
    });
  }

  #close(): void {
    this.#closed = true;
    for (const wait of [...this.#waits.values()]) this.#end(wait, { error: closed(wait.queue, 'the task goes on') });
    this.#drained();
  }

  #end(wait: TaskWait, end: WaitEnd): void {
    if (!this.#waits.delete(wait.token)) return;
    wait.release();
    wait.resolve(end);
    if (this.#waits.size === 0) this.#drained();
  }

  #progress(token: string, text: string): void {
    const wait = this.#waits.get(token);
    if (wait?.onProgress === undefined) return;
    void tellProgress(wait, JSON.parse(text), (error) => {
      this.#options.log.warn(`publishAndWait: onProgress of queue '${wait.queue}' threw: ${String(error)}`);
    });
  }

  #receive(token: string, kind: string, text: string): void {
    const wait = this.#waits.get(token);
    if (wait === undefined) return;
    if (kind === 'kept') {
      wait.isKept = true;
      this.#loop.wake();
      return;
    }
    this.#take(wait, outcomeOf(kind, text));
  }

  /** The wait has its outcome, so nothing has to be kept for it. */
  #take(wait: TaskWait, outcome: Outcome | undefined): void {
    if (outcome === undefined) return;
    this.#end(wait, { outcome });
    this.#options.link.send('del', [wait.key]).catch((error: unknown) => {
      debug?.('%s expires by itself: %s', wait.key, error);
    });
  }

  async #turn(): Promise<number | undefined> {
    if (this.#waits.size === 0) return undefined;
    const { inbox, clock } = this.#options;
    const resyncs = this.#resyncs;
    const isHeard = this.#asked === resyncs && clock.monoMs() - inbox.proven.monoMs <= HEARD_MS;
    const due = [...this.#waits.values()].filter(({ isKept }) => isKept || !isHeard);
    for (let from = 0; from < due.length; from += CHUNK) {
      await Promise.all(due.slice(from, from + CHUNK).map((wait) => this.#look(wait)));
    }
    this.#asked = resyncs;
    return LOOK_MS;
  }

  async #look(wait: TaskWait, deadlineMs?: number): Promise<void> {
    const { link } = this.#options;
    const kept = await link.send<string | null>('get', [wait.key], deadlineMs === undefined ? {} : { deadlineMs });
    if (kept === null) return;
    const space = kept.indexOf(' ');
    if (this.#waits.has(wait.token)) this.#take(wait, outcomeOf(kept.slice(0, space), kept.slice(space + 1)));
  }

  async #lastLook(wait: TaskWait): Promise<void> {
    try {
      await this.#look(wait, LAST_LOOK_MS);
    } catch (error) {
      debug?.('%s could not be read: %s', wait.key, error);
    }
    this.#end(wait, {});
  }
}

function closed(queue: string, what: string): SluiceError {
  return new SluiceError(
    'SLUICE_CLOSED',
    `nobody waits for a task of queue '${queue}' any more, because the app is shutting down; ${what}`,
  );
}
