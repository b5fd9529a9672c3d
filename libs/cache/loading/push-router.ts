import { BriefMap, DeadlineQueue, type Clock, type Inbox } from '../../redis/index.js';
import { AGAIN, WaitTicket } from './wait-ticket.js';

/** Hands the cache's inbox messages to the requests that they name. */
export class PushRouter {
  readonly #tickets = new BriefMap<string, WaitTicket>();
  readonly #clock: Clock;
  readonly #times: DeadlineQueue;

  constructor(inbox: Pick<Inbox, 'on' | 'onResync'>, clock: Clock) {
    this.#clock = clock;
    this.#times = new DeadlineQueue(clock);
    inbox.on('cache:news', ([verb = '', tokens = '', payload = '']) => {
      this.#receive(verb, tokens, payload);
    });
    // Messages may have been lost: every waiting request asks again.
    inbox.onResync(() => {
      this.wakeAll();
    });
  }

  /** Call this before the request is sent: a push may overtake the reply. End the ticket with {@link done}. */
  expect(token: string): WaitTicket {
    const ticket = new WaitTicket(token, this.#clock, this.#times);
    this.#tickets.set(token, ticket);
    return ticket;
  }

  /** Ends a ticket: no message is expected for its request any more. */
  done(ticket: WaitTicket): void {
    this.#tickets.delete(ticket.token);
  }

  /** Every waiting request asks again. */
  wakeAll(): void {
    for (const [, ticket] of this.#tickets.entries()) ticket.receive(AGAIN);
  }

  #receive(verb: string, tokens: string, payload: string): void {
    // There is nearly always one token. Then nothing is split.
    if (!tokens.includes(' ')) this.#tell(tokens, verb, payload);
    else for (const token of tokens.split(' ')) this.#tell(token, verb, payload);
  }

  #tell(token: string, verb: string, payload: string): void {
    const ticket = this.#tickets.get(token);
    if (ticket === undefined) return;
    if (verb === 'value') ticket.receive({ verb, text: payload });
    else if (verb === 'error') ticket.receive({ verb, failure: payload });
    else if (verb === 'again') ticket.receive(AGAIN);
    else if (verb === 'void') ticket.invalidate();
  }
}
