import type { Clock } from '../../redis/index.js';
import type { ResolvedHandlerOptions } from '../handler.options.js';
import { ShareTurns } from '../priority/share-turns.js';
import { AdaptivePrefetch } from './adaptive-prefetch.js';

/** The most that is prefetched, in characters of payload. */
const PREFETCH_CHARS = 4 * 2 ** 20;
/** The most that one read should bring, in characters of payload. */
const READ_CHARS = 16 * 2 ** 20;

/** A worker on one stream of the handler. */
interface WindowMember {
  /** How many prefetched tasks wait here. */
  readonly waiting: number;
  /** Whose tasks it runs: of a level of priority, with its share. */
  readonly handler?: { readonly level?: { readonly share: number } | undefined };
  /** Starts the tasks that may start, at most `most`. */
  pump(most?: number): void;
  /** There is enough credit to read. */
  creditGained(): void;
}

/**
 * Limits how many tasks one handler may run and hold in this process. The streams of the handler share one window: its queue, and
 * its group's retries. If the handlers of several named tasks share a limit, each has a window of its own within a common one. The
 * levels of a queue's priority share one window as well, and get its places by their shares.
 *
 * Two numbers are limited to `concurrency + prefetch`:
 *
 * - tasks that are prefetched or run, so that no process keeps work that others could do;
 * - tasks that have begun and are not confirmed as settled. When a process dies, at most that many tasks run again.
 *
 * A batch takes one place, however few tasks it has. So where tasks run in batches of up to `max`, a place counts for `max` tasks, and
 * the two numbers are limited to `concurrency · max + prefetch`.
 *
 * @see docs/internals/queue.md#a-worker
 */
export class ConcurrencyWindow {
  readonly #adaptive: AdaptivePrefetch;
  readonly #members: WindowMember[] = [];
  readonly #concurrency: number;
  /** Tasks that run, or batches. */
  #running = 0;
  /** How many tasks one place may have: 1, or the largest batch. */
  #perPlace: number;
  /** Tasks that are pending with this process: prefetched, running, or finished and not yet confirmed. */
  #held = 0;
  /** An estimate of a task's size, in characters. It rises at once. With each read it falls by half of the difference. */
  #charsPerTask = 0;
  /** `concurrency · perPlace + prefetch`, as of the last time that the credit was read. */
  #window: number;
  /** The member from which the next place is offered, if this is a common window. */
  #turn = 0;
  /** This window, and the common one if there is one. */
  readonly within: readonly ConcurrencyWindow[];
  /** Whether tasks are taken only when they may start. Then none are prefetched, and a place is taken until its task is settled. */
  readonly #isExact: boolean;
  readonly #common: ConcurrencyWindow | undefined;
  /** Whose turn it is, if this is the window of a queue's levels. */
  readonly #turns: ShareTurns<WindowMember> | undefined;

  constructor(
    concurrency: number,
    clock: Clock,
    {
      common,
      byShare = false,
      isExact = false,
      perPlace = 1,
    }: { common?: ConcurrencyWindow; byShare?: boolean; isExact?: boolean; perPlace?: number } = {},
  ) {
    this.#turns = byShare ? new ShareTurns(({ handler }) => handler?.level?.share ?? 1) : undefined;
    this.#common = common;
    this.#isExact = isExact;
    this.#perPlace = perPlace;
    common?.widen(perPlace);
    this.within = common ? [this, common] : [this];
    this.#concurrency = concurrency;
    this.#window = concurrency * perPlace;
    this.#adaptive = new AdaptivePrefetch(clock);
  }

  /** A further worker shares this window. */
  add(member: WindowMember): void {
    this.#members.push(member);
    this.#common?.add(member);
  }

  /** How many more tasks may be read. */
  get credit(): number {
    return this.#common === undefined ? this.room : Math.min(this.room, this.#common.room);
  }

  /** How many more tasks may be read if there were no common window. */
  get room(): number {
    if (this.#isExact) return this.#concurrency - this.#held;
    this.#window = this.#concurrency * this.#perPlace + this.prefetch;
    return this.#window - this.#running * this.#perPlace - this.#waiting;
  }

  /** Whether a read is worthwhile: batches are large, and the worker never runs out of tasks. */
  get wantsMore(): boolean {
    // A threshold on the smaller of the two would let fast names keep a slower one from ever reading.
    return this.room >= this.#refill && (this.#common === undefined || this.#common.wantsMore);
  }

  /** The common window, or this one. Handlers with the same one compete for places. */
  get outermost(): ConcurrencyWindow {
    return this.#common ?? this;
  }

  /** Whether the places are given to the levels of a queue by their shares. */
  get byShare(): boolean {
    return this.#turns !== undefined;
  }

  /** Whether one more task may start, or one more batch. */
  get free(): boolean {
    return (
      this.#running < this.#concurrency &&
      this.#held - this.#waiting + this.#perPlace <= this.#window &&
      (this.#common === undefined || this.#common.free)
    );
  }

  /** How many tasks to prefetch beyond those that run: as many as the pace needs, but no more than fit into some megabytes. */
  get prefetch(): number {
    if (this.#isExact) return 0;
    return Math.min(this.#adaptive.prefetch, Math.floor(PREFETCH_CHARS / Math.max(1, this.#charsPerTask)));
  }

  /** How many tasks one read may bring, estimated from the size of earlier tasks. */
  get readMost(): number {
    return Math.max(1, Math.floor(READ_CHARS / Math.max(1, this.#charsPerTask)));
  }

  /** A read brought this number of tasks, with this number of characters in all. */
  delivered(tasks: number, chars: number): void {
    this.#adaptive.busy();
    const mean = chars / tasks;
    this.#charsPerTask = Math.max(mean, (this.#charsPerTask + mean) / 2);
    this.#common?.delivered(tasks, chars);
  }

  /** One more task is pending with this process. */
  hold(): void {
    this.#held++;
    this.#common?.hold();
  }

  /** A task is no longer pending with this process. */
  release(): void {
    if (--this.#held === 0) this.#adaptive.idle();
    this.#common?.release();
  }

  /** A task starts, or a batch. */
  begin(): void {
    this.#running++;
    this.#common?.begin();
  }

  /** A task has finished, or a batch of so many tasks. */
  end(tasks = 1): void {
    this.#adaptive.ended(tasks);
    this.#running--;
    this.#common?.end(tasks);
  }

  /** Starts the tasks of a member that may start. The levels of a queue take turns, whichever it is. */
  start(member: WindowMember): void {
    if (this.#turns === undefined) member.pump();
    else this.#pumpByShare(this.#turns);
  }

  /** There may be room to start a task. The worker that made the room is asked first. */
  pump(first: WindowMember): void {
    if (this.#common !== undefined) {
      this.#common.#pumpInTurn();
      return;
    }
    if (this.#turns !== undefined) {
      this.#pumpByShare(this.#turns);
      return;
    }
    first.pump();
    for (const member of this.#members) if (member !== first) member.pump();
  }

  /** Tells all workers of the handler if there is enough credit to read. */
  offerCredit(): void {
    const { outermost } = this;
    if (!outermost.wantsMore) return;
    for (const member of outermost.#members) member.creditGained();
  }

  /** Offers the places to one member after the other, beginning with another one each time: a busy name must not keep the others out. */
  #pumpInTurn(): void {
    const from = this.#turn;
    const count = this.#members.length;
    let offered = false;
    for (let i = 0; i < count; i++) {
      const member = this.#members[(from + i) % count];
      if (member === undefined || member.waiting === 0) continue;
      if (!offered) this.#turn = (from + i + 1) % count;
      offered = true;
      member.pump();
    }
  }

  /** A name with batches of up to so many tasks shares this window. */
  widen(perPlace: number): void {
    this.#perPlace = Math.max(this.#perPlace, perPlace);
    this.#window = this.#concurrency * this.#perPlace;
  }

  /** Starts one task after the other, of the level whose turn it is. A level that may not start any leaves its turn to the others. */
  #pumpByShare(turns: ShareTurns<WindowMember>): void {
    let competing = this.#members.filter(({ waiting }) => waiting > 0);
    while (this.free) {
      const member = turns.next(competing);
      if (member === undefined) return;
      const { waiting } = member;
      member.pump(1);
      if (member.waiting < waiting) turns.took(member);
      if (member.waiting === waiting || member.waiting === 0) competing = competing.filter((each) => each !== member);
    }
  }

  /** The room from which on a read is worthwhile. */
  get #refill(): number {
    return Math.max(1, Math.ceil(this.prefetch / 2));
  }

  get #waiting(): number {
    let waiting = 0;
    for (const member of this.#members) waiting += member.waiting;
    return waiting;
  }
}

/** What a window depends on. */
interface Limited {
  readonly queue: string;
  /** Of one level of the queue's priority: which one. */
  readonly level?: object | undefined;
  readonly options: Pick<ResolvedHandlerOptions, 'group' | 'concurrency' | 'ofAllNames' | 'fleet' | 'rateLimit'> &
    Partial<Pick<ResolvedHandlerOptions, 'batch'>>;
}

/**
 * Makes the windows of handlers. The handlers of a queue's named tasks that share a limit get a common window per group; those of a
 * queue's levels get one window per group.
 */
export function handlerWindows(clock: Clock): (handler: Limited) => ConcurrencyWindow {
  const shared = new Map<string, ConcurrencyWindow>();
  const once = (key: readonly string[], make: () => ConcurrencyWindow): ConcurrencyWindow => {
    const name = JSON.stringify(key);
    const window = shared.get(name) ?? make();
    shared.set(name, window);
    return window;
  };
  return ({ queue, level, options: { group, concurrency, ofAllNames, fleet, rateLimit, batch } }) => {
    const places = { isExact: fleet !== undefined || rateLimit !== undefined, perPlace: batch?.max ?? 1 };
    if (level !== undefined) {
      return once(['levels', queue, group], () => new ConcurrencyWindow(concurrency, clock, { byShare: true }));
    }
    if (ofAllNames === undefined) return new ConcurrencyWindow(concurrency, clock, places);
    const common = once(['names', ofAllNames.queue, group], () => new ConcurrencyWindow(ofAllNames.concurrency, clock));
    return new ConcurrencyWindow(concurrency, clock, { common, ...places });
  };
}
