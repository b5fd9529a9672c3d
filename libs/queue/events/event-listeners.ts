import { Observable, merge, type Subscriber } from 'rxjs';
import { Loop, frame, isUnavailable, type Clock, type Inbox, type Link } from '../../redis/index.js';
import { debug } from '../observe/queue.debug.js';
import { eventsChannel, type QueueKeys } from '../store/queue.keys.js';
import { observeScript } from '../store/scripts/observe.script.js';
import { EVENTS_KIND, eventsIn, type QueueEvent } from './queue-event.js';

export interface EventListenersOptions {
  link: Link;
  inbox: Pick<Inbox, 'on' | 'onResync' | 'listen' | 'leave' | 'subscribed' | 'prefix'>;
  clock: Clock;
  log: { warn(message: string): void };
}

/** A queue with listeners in this process. */
interface Watched {
  readonly queue: string;
  readonly keys: QueueKeys;
  readonly channel: string;
  readonly subscribers: Set<Subscriber<QueueEvent>>;
  /** Whether the channel was asked for, and Redis would have refused it. */
  isJoined: boolean;
  /** Whether processes were told that somebody listens: from then on, what is lost is a gap. */
  isTold: boolean;
}

/** For how long Redis says that somebody listens, and how often this is repeated, in milliseconds. */
const TTL_MS = 15_000;
const REPEAT_MS = 5_000;
/** How soon after a failure it is repeated. */
const AGAIN_MS = 1_000;

/**
 * The listeners of this process to the events of queues. All of one queue share a channel, on the subscriber's socket that is there
 * anyway. A key in Redis tells the workers that somebody listens; it expires when the last listening process is gone.
 */
export class EventListeners {
  readonly #options: EventListenersOptions;
  readonly #watched = new Map<string, Watched>();
  readonly #loop: Loop;
  #isBegun = false;
  #closed = false;

  constructor(options: EventListenersOptions) {
    this.#options = options;
    const { clock, log } = options;
    this.#loop = new Loop({
      name: 'listening to events',
      clock,
      turn: () => this.#turn(),
      onError: (error) => {
        log.warn(`events of queues cannot be listened to: ${String(error)}`);
      },
    });
  }

  /** The events of some queues, from each subscription on. */
  of(queues: readonly { readonly queue: string; readonly keys: QueueKeys }[]): Observable<QueueEvent> {
    return merge(...queues.map(({ queue, keys }) => this.#of(queue, keys)));
  }

  /** The app stops: all subscriptions complete. */
  async stop(): Promise<void> {
    this.#closed = true;
    for (const { subscribers } of [...this.#watched.values()]) for (const each of [...subscribers]) each.complete();
    await this.#loop.stop();
  }

  #of(queue: string, keys: QueueKeys): Observable<QueueEvent> {
    return new Observable((subscriber) => {
      if (this.#closed) {
        subscriber.complete();
        return undefined;
      }
      const watched = this.#watch(queue, keys);
      watched.subscribers.add(subscriber);
      return () => {
        watched.subscribers.delete(subscriber);
        if (watched.subscribers.size === 0) this.#forget(watched);
      };
    });
  }

  #watch(queue: string, keys: QueueKeys): Watched {
    const known = this.#watched.get(keys.observed);
    if (known) return known;
    const channel = eventsChannel(this.#options.inbox.prefix, keys);
    const watched: Watched = { queue, keys, channel, subscribers: new Set(), isJoined: false, isTold: false };
    this.#watched.set(keys.observed, watched);
    this.#begin();
    this.#loop.wake();
    this.#loop.start();
    return watched;
  }

  #forget(watched: Watched): void {
    const { keys, channel } = watched;
    if (this.#watched.get(keys.observed) !== watched) return;
    this.#watched.delete(keys.observed);
    this.#options.inbox.leave(channel).catch((error: unknown) => {
      debug?.('%s: stays subscribed until the socket closes: %s', channel, error);
    });
  }

  /** With the first listener. */
  #begin(): void {
    if (this.#isBegun) return;
    this.#isBegun = true;
    const { inbox } = this.#options;
    inbox.on(EVENTS_KIND, ([observed = '', text = '']) => {
      const watched = this.#watched.get(observed);
      if (watched) for (const event of eventsIn(watched.queue, text)) tell(watched, event);
    });
    inbox.onResync(() => {
      for (const watched of this.#watched.values()) {
        if (watched.isTold) tell(watched, { type: 'gap', queue: watched.queue, at: this.#now() });
      }
      this.#loop.wake();
    });
  }

  #now(): Date {
    return new Date(this.#options.clock.wallMs());
  }

  async #turn(): Promise<number | undefined> {
    const all = [...this.#watched.values()];
    if (all.length === 0) return undefined;
    const done = await Promise.all(all.map((watched) => this.#listen(watched)));
    return done.includes(false) ? AGAIN_MS : REPEAT_MS;
  }

  /** Resolves to whether the processes were told. */
  async #listen(watched: Watched): Promise<boolean> {
    const { link, inbox } = this.#options;
    const { keys, channel } = watched;
    try {
      if (!watched.isJoined) {
        await inbox.listen(channel);
        // Whoever may publish there may subscribe. A refusal of SUBSCRIBE would concern the whole inbox.
        await link.send('publish', [channel, frame('queue:listening')]);
        watched.isJoined = true;
      }
      // The resubscription includes the channel, and wakes this loop.
      if (!inbox.subscribed) return false;
      const { observed, alive } = keys;
      await observeScript.run(link, {
        keys: { observed, alive },
        args: { ttlMs: TTL_MS, inboxes: inbox.prefix },
      });
      watched.isTold = true;
      return true;
    } catch (error) {
      if (isUnavailable(error) && error.refusal !== 'NOPERM') return false;
      for (const each of [...watched.subscribers]) each.error(error);
      return true;
    }
  }
}

function tell({ subscribers }: Watched, event: QueueEvent): void {
  for (const each of [...subscribers]) each.next(event);
}
