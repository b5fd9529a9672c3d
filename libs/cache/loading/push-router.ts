import { BriefMap, Deadline, DeadlineQueue, type Clock, type Inbox } from '../../redis/index.js';

/** What a waiting request may hear: how the load it waits for ended, or that it should ask Redis again. */
export type PushedOutcome =
  | { readonly verb: 'value'; readonly text: string }
  | { readonly verb: 'error'; readonly failure: string }
  | { readonly verb: 'again' };

const AGAIN: PushedOutcome = { verb: 'again' };

/** Hands the cache's inbox messages to the requests that they name. */
export class PushRouter {
  readonly #requests = new BriefMap<string, WaitTicket>();
  readonly #clock: Clock;
  readonly #times: DeadlineQueue;

  constructor(inbox: Pick<Inbox, 'on' | 'onResync'>, clock: Clock) {
    this.#clock = clock;
    this.#times = new DeadlineQueue(clock);
    inbox.on('cache:news', ([verb = '', tokens = '', payload = '']) => {
      this.#receive(verb, tokens, payload);
    });
    // Messages may be lost: everybody asks for what they would have said.
    inbox.onResync(() => {
      this.wakeAll();
    });
  }

  /** Call before the request is sent: a push may overtake the reply. End it with {@link done}. */
  expect(token: string): WaitTicket {
    const ticket = new WaitTicket(token, this.#clock, this.#times);
    this.#requests.set(token, ticket);
    return ticket;
  }

  /** Nothing is expected for this request any more. */
  done(ticket: WaitTicket): void {
    this.#requests.delete(ticket.token);
  }

  /** Everybody who waits asks again. */
  wakeAll(): void {
    for (const [, ticket] of this.#requests.entries()) ticket.hear(AGAIN);
  }

  #receive(verb: string, tokens: string, payload: string): void {
    // Nearly always one: then nothing is split.
    if (!tokens.includes(' ')) this.#tell(tokens, verb, payload);
    else for (const token of tokens.split(' ')) this.#tell(token, verb, payload);
  }

  #tell(token: string, verb: string, payload: string): void {
    const ticket = this.#requests.get(token);
    if (ticket === undefined) return;
    if (verb === 'value') ticket.hear({ verb, text: payload });
    else if (verb === 'error') ticket.hear({ verb, failure: payload });
    else if (verb === 'again') ticket.hear(AGAIN);
    else if (verb === 'void') ticket.invalidate();
  }
}

/**
 * One question to Redis and what is pushed in answer to it. Its token is used for no other, so nothing that an earlier
 * question provoked can be taken for its answer.
 */
export class WaitTicket extends Deadline {
  readonly token: string;
  /** Called once when the lease that this request was granted is gone. */
  onVoid: (() => void) | undefined;
  /** A load that it was granted runs, and ends it. */
  loading = false;
  readonly #clock: Clock;
  readonly #times: DeadlineQueue;
  #voided = false;
  #news: PushedOutcome | undefined;
  #wake: ((news: PushedOutcome) => void) | undefined;

  constructor(token: string, clock: Clock, times: DeadlineQueue) {
    super();
    this.token = token;
    this.#clock = clock;
    this.#times = times;
  }

  /** True once the lease that was granted to it is gone, be it before the grant was read. */
  get voided(): boolean {
    return this.#voided;
  }

  invalidate(): void {
    if (this.#voided) return;
    this.#voided = true;
    this.onVoid?.();
  }

  /** Ready to be asked once more: what was heard is used up. Only for a request that neither loads nor waits for a load. */
  renew(): void {
    this.#news = undefined;
    this.#wake = undefined;
  }

  hear(news: PushedOutcome): void {
    if (this.#news) return;
    this.#news = news;
    this.#times.unset(this);
    this.#wake?.(news);
  }

  /** It has waited in vain. */
  override onDue(): void {
    this.hear(AGAIN);
  }

  override onClockStep(): void {
    // Leases are counted on Redis' clock, and a socket that did not survive the machine's sleep has everybody ask again.
  }

  /** The news, which may have come already; after `timeoutMs` without any, to ask again. */
  news(timeoutMs: number): Promise<PushedOutcome> {
    if (this.#news) return Promise.resolve(this.#news);
    return new Promise((resolve) => {
      this.#wake = resolve;
      this.#times.set(this, timeoutMs, this.#clock.monoMs());
    });
  }
}
