import { failureOf, isClientError } from '../loader-failures.js';
import { encodeOf } from '../codec/codec.js';
import { isTrue, ttlOf, type LoadOptions } from '../load-options.js';
import { DecodedCopies } from '../local/decoded-copies.js';
import { encodeTags } from '../store/tags.js';
import { debug } from '../observe/cache.debug.js';
import { LeaseRenewal } from './lease-renewal.js';
import type { WaitTicket } from './wait-ticket.js';
import type { ReadContext, ReadRequest, RunningLoad } from './read-context.js';
import { SourceSlot } from './source-slot.js';

/** How a load under a lease ended. */
export interface FillOutcome {
  readonly copies: DecodedCopies;
  /** False: an invalidation or another load overtook this load, or Redis did not confirm the fill. */
  readonly current: boolean;
  /** False also if `unless` keeps the value out of the cache. Then only the waiting requests get the value. */
  readonly stored: boolean;
}

/** The right to load a key for the fleet: the lease of one request, its slot at the source, and the ways to end both. */
export class LoadLease implements RunningLoad {
  readonly #context: ReadContext;
  readonly #request: ReadRequest;
  readonly #ticket: WaitTicket;
  readonly #lease: LeaseRenewal;
  readonly #slot: SourceSlot | undefined;
  readonly #sinceMs: number;

  /** @param onLost called once if the lease is lost before it ends; not called if it was lost already when it was granted */
  constructor(context: ReadContext, request: ReadRequest, ticket: WaitTicket, onLost: () => void) {
    const { store, clock, loadLeases } = context;
    const { source } = request.options;
    this.#context = context;
    this.#request = request;
    this.#ticket = ticket;
    this.#sinceMs = clock.monoMs();
    this.#lease = new LeaseRenewal(store, clock, request.entry, ticket);
    if (request.limit > 0) this.#slot = new SourceSlot(store, clock, source, ticket.token, request.limit);
    ticket.loading = true;
    // Assigned to a constant first, not directly to the ticket: see ADR 19.
    const onInvalidated = (): void => {
      debug?.("'%s' lease of %s lost: invalidated, or expired", request.key, ticket.token);
      this.#lease.end();
      onLost();
    };
    ticket.onInvalidated = onInvalidated;
    loadLeases.set(ticket.token, this);
  }

  /**
   * Stores a value, unless the lease was lost, or the key or one of its tags was invalidated.
   *
   * @throws any error of `resultTags`; SluiceError `SLUICE_CACHE_UNSERIALIZABLE`
   */
  async fill(value: unknown): Promise<FillOutcome> {
    const { store, clock, recentlySeen, random } = this.#context;
    const { entry, options } = this.#request;
    const resultTags = resultTagsOf(options, value);
    const text = encodeOf(this.#request.key, value, options);
    // A value that cannot be revived is not stored. Other values are decoded after the sending, because waiting requests need
    // the value first.
    const revived = options.revive && new DecodedCopies(text, options.revive);
    this.#lease.end();
    const unless = options.unless as ((value: unknown) => unknown) | undefined;
    const share = unless !== undefined && isTrue('unless()', unless(value));
    if (this.#ticket.invalidated) return this.#superseded(revived ?? new DecodedCopies(text));
    const { token } = this.#ticket;
    const { staleMs } = options;
    const loadMs = Math.round(clock.monoMs() - this.#sinceMs);
    const filling = store
      .fill(entry, token, loadMs, { text, ttlMs: ttlOf(value, options, random), staleMs, tags: resultTags, share })
      .catch(() => {
        this.release();
        return false;
      });
    const copies = revived ?? new DecodedCopies(text);
    if (!(await filling)) return this.#superseded(copies);
    if (share) return { copies, current: true, stored: false };
    debug?.("'%s' filled by %s after %d ms", this.#request.key, token, loadMs);
    recentlySeen.add(entry, { tags: [...options.tags, ...resultTags], text });
    return { copies, current: true, stored: true };
  }

  #superseded(copies: DecodedCopies): FillOutcome {
    debug?.("'%s' not stored by %s: overtaken, or not confirmed", this.#request.key, this.#ticket.token);
    this.#request.meter.voided(this.#request.key);
    return { copies, current: false, stored: false };
  }

  /** Tells the fleet of an error. */
  async fail(error: unknown): Promise<void> {
    this.#lease.end();
    debug?.("'%s' load of %s failed: %s", this.#request.key, this.#ticket.token, error);
    if (this.#ticket.invalidated) return;
    const { entry, options } = this.#request;
    const { token: id } = this.#ticket;
    const answer = this.#isAnswer(error);
    const backoffMs = answer ? 0 : options.errorBackoffMs;
    this.#context.ownErrors.keep(entry, id, error, backoffMs);
    const failure = { ...failureOf(error), backoffMs, id, ...(answer ? { answer } : {}) };
    await this.#context.store.fail(entry, id, failure).catch(() => {
      this.release();
    });
  }

  #isAnswer(error: unknown): boolean {
    const { answers = isClientError } = this.#request.options;
    try {
      return isTrue('answers()', answers(error));
    } catch (reason) {
      // The caller gets the loader's error, not this one.
      this.#context.report(reason, `answers of '${this.#request.key}'`);
      return false;
    }
  }

  /** Gives the lease up. The caller need not wait: the store repeats the release until Redis confirms it. */
  release(): void {
    this.#lease.end();
    this.#context.store.release(this.#request.entry, this.#ticket.token).catch(() => {});
  }

  /**
   * Called when tags were invalidated; without tags, when everything was invalidated. A load that began before is void. Redis is
   * asked, because the message may be older than the grant. Tags from `resultTags` are not known yet.
   */
  revalidate(tags?: ReadonlySet<string>): void {
    const { options } = this.#request;
    if (tags === undefined || options.tags.some((tag) => tags.has(tag))) this.#lease.check();
  }

  /** Called at shutdown: gives up the lease, so that a waiting request can load. This load goes on for its own callers. */
  async detach(): Promise<void> {
    await this.#lease.release();
  }

  /** The lease has ended. The slot is kept until `loaderEnded`, which may be later. */
  end(loaderEnded: Promise<unknown>): void {
    this.#lease.end();
    this.#context.pushRouter.done(this.#ticket);
    this.#context.loadLeases.delete(this.#ticket.token);
    void loaderEnded.then(() => this.#slot?.leave());
  }
}

/** The tags from `resultTags` that are not among `tags`. */
export function resultTagsOf({ resultTags, tags }: LoadOptions, value: unknown): readonly string[] {
  if (resultTags === undefined) return [];
  const named = encodeTags('resultTags()', (resultTags as (value: unknown) => unknown)(value));
  return named.filter((tag) => !tags.includes(tag));
}
