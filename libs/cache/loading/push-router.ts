import { BriefMap, Due, DueTimes, type Clock, type Inbox } from '../../redis/index.js';

/** What a waiting request may hear: how the load it waits for ended, or that it should ask Redis again. */
export type News =
  | { readonly verb: 'value'; readonly text: string }
  | { readonly verb: 'error'; readonly failure: string }
  | { readonly verb: 'again' };

const AGAIN: News = { verb: 'again' };

/** Hands the cache's inbox messages to the requests that they name. */
export class WakeUps {
  readonly #requests = new BriefMap<string, Request>();
  readonly #clock: Clock;
  readonly #times: DueTimes;

  constructor(inbox: Pick<Inbox, 'on' | 'onResync'>, clock: Clock) {
    this.#clock = clock;
    this.#times = new DueTimes(clock);
    inbox.on('cache:news', ([verb = '', tokens = '', payload = '']) => {
      this.#receive(verb, tokens, payload);
    });
    // Messages may be lost: everybody asks for what they would have said.
    inbox.onResync(() => {
      this.wakeAll();
    });
  }

  /** Call before the request is sent: a push may overtake the reply. End it with {@link done}. */
  expect(token: string): Request {
    const request = new Request(token, this.#clock, this.#times);
    this.#requests.set(token, request);
    return request;
  }

  /** Nothing is expected for this request any more. */
  done(request: Request): void {
    this.#requests.delete(request.token);
  }

  /** Everybody who waits asks again. */
  wakeAll(): void {
    for (const [, request] of this.#requests.entries()) request.hear(AGAIN);
  }

  #receive(verb: string, tokens: string, payload: string): void {
    // Nearly always one: then nothing is split.
    if (!tokens.includes(' ')) this.#tell(tokens, verb, payload);
    else for (const token of tokens.split(' ')) this.#tell(token, verb, payload);
  }

  #tell(token: string, verb: string, payload: string): void {
    const request = this.#requests.get(token);
    if (request === undefined) return;
    if (verb === 'value') request.hear({ verb, text: payload });
    else if (verb === 'error') request.hear({ verb, failure: payload });
    else if (verb === 'again') request.hear(AGAIN);
    else if (verb === 'void') request.void();
  }
}

/**
 * One question to Redis and what is pushed in answer to it. Its token is used for no other, so nothing that an earlier
 * question provoked can be taken for its answer.
 */
export class Request extends Due {
  readonly token: string;
  /** Called once when the lease that this request was granted is gone. */
  onVoid: (() => void) | undefined;
  /** A load that it was granted runs, and ends it. */
  loading = false;
  readonly #clock: Clock;
  readonly #times: DueTimes;
  #voided = false;
  #news: News | undefined;
  #wake: ((news: News) => void) | undefined;

  constructor(token: string, clock: Clock, times: DueTimes) {
    super();
    this.token = token;
    this.#clock = clock;
    this.#times = times;
  }

  /** True once the lease that was granted to it is gone, be it before the grant was read. */
  get voided(): boolean {
    return this.#voided;
  }

  void(): void {
    if (this.#voided) return;
    this.#voided = true;
    this.onVoid?.();
  }

  /** Ready to be asked once more: what was heard is used up. Only for a request that neither loads nor waits for a load. */
  renew(): void {
    this.#news = undefined;
    this.#wake = undefined;
  }

  hear(news: News): void {
    if (this.#news) return;
    this.#news = news;
    this.#times.unset(this);
    this.#wake?.(news);
  }

  /** It has waited in vain. */
  override due(): void {
    this.hear(AGAIN);
  }

  override look(): void {
    // Leases are counted on Redis' clock, and a socket that did not survive the machine's sleep has everybody ask again.
  }

  /** The news, which may have come already; after `timeoutMs` without any, to ask again. */
  news(timeoutMs: number): Promise<News> {
    if (this.#news) return Promise.resolve(this.#news);
    return new Promise((resolve) => {
      this.#wake = resolve;
      this.#times.set(this, timeoutMs, this.#clock.monoMs());
    });
  }
}
