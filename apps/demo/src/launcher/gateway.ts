import { setTimeout as pause } from 'node:timers/promises';
import { serveJson, type JsonReply, type JsonRequest, type JsonServer } from './json-server.js';
import { Partners } from './partners.js';

/** The cards of the test gateway. */
export type Card = 'good' | 'fails-once' | 'fails-always';

/** `running` until it is answered; `abandoned` when the process that asked died first; `repeated` if it had been paid. */
export type Outcome = 'running' | 'paid' | 'declined' | 'abandoned' | 'repeated';

/** One line of the ledger: one attempt to charge one order. */
export interface Charge {
  order: string;
  by: string;
  outcome: Outcome;
  startedAt: number;
  endedAt: number;
}

/** A label, and the process that asked for it. */
export interface Label {
  orderId: number;
  by: string;
  at: number;
}

/** A parcel was at a station. */
export interface SeenAt {
  parcel: string;
  station: number;
}

/** A payment gateway that is slow and declines as asked, a credit agency, a carrier with its tracking page, and partners. The ledger is the truth about what the handlers did. */
export class Gateway {
  static readonly usualSlownessMs = 20;
  /** How long a charge takes. */
  slownessMs = Gateway.usualSlownessMs;
  /** The process whose charges are not answered for now. */
  unanswered: string | undefined;
  readonly ledger: Charge[] = [];
  /** Orders whose charge was given back. */
  readonly refunds = new Set<string>();
  /** When the credit agency was asked, in milliseconds. */
  readonly ratings: number[] = [];
  /** The labels that the carrier has made, by their ids, in the order in which it made them. */
  readonly labels = new Map<string, Label>();
  /** What the tracking page shows, in the order in which it was told. */
  readonly scans: SeenAt[] = [];
  /** Parcels whose third scan the tracking page has refused once. */
  readonly refusedScans = new Set<string>();
  readonly partners = new Partners();
  readonly #byOrder = new Map<string, Charge[]>();
  #server: JsonServer | undefined;

  get url(): string {
    return this.#server?.url ?? '';
  }

  async open(): Promise<void> {
    this.#server = await serveJson((request) => this.#answer(request));
  }

  async close(): Promise<void> {
    await this.#server?.close();
  }

  /** The attempts to charge an order. */
  chargesOf(order: string): readonly Charge[] {
    return this.#byOrder.get(order) ?? [];
  }

  async #answer(request: JsonRequest): Promise<JsonReply> {
    const { id, card } = request.body as { id: string; card: Card };
    if (request.path === '/ratings') {
      this.ratings.push(performance.now());
      return { status: 200, body: { score: 700 } };
    }
    if (request.path === '/labels') return this.#label(request, id);
    if (request.path === '/scans') return this.#scan(request.body as SeenAt);
    if (request.path === '/webhooks') return this.partners.answer(request);
    if (request.path === '/charges') return this.#charge(request, id, card);
    this.refunds.add(id);
    return { status: 200, body: { order: id } };
  }

  async #label({ by, body }: JsonRequest, id: string): Promise<JsonReply> {
    const { orderId } = body as { orderId: number };
    await pause(Gateway.usualSlownessMs);
    if (!this.labels.has(id)) this.labels.set(id, { orderId, by, at: performance.now() });
    return { status: 200, body: { id } };
  }

  async #scan(scan: SeenAt): Promise<JsonReply> {
    await pause(Gateway.usualSlownessMs / 4);
    if (scan.station === 3 && !this.refusedScans.has(scan.parcel)) {
      this.refusedScans.add(scan.parcel);
      return { status: 503, body: { error: 'try again' } };
    }
    // A task may run twice after a crash. The page knows a scan that it has.
    if (!this.scans.some(({ parcel, station }) => parcel === scan.parcel && station === scan.station))
      this.scans.push(scan);
    return { status: 200, body: scan };
  }

  async #charge({ by, gone }: JsonRequest, order: string, card: Card): Promise<JsonReply> {
    const charge: Charge = { order, by, outcome: 'running', startedAt: performance.now(), endedAt: 0 };
    this.ledger.push(charge);
    this.#byOrder.set(order, [...this.chargesOf(order), charge]);
    do {
      await pause(this.slownessMs, undefined, { signal: gone }).catch(() => {});
    } while (this.unanswered === by && !gone.aborted);
    charge.outcome = gone.aborted ? 'abandoned' : this.#decide(order, card);
    charge.endedAt = performance.now();
    return charge.outcome === 'declined'
      ? { status: 402, body: { error: 'card declined' } }
      : { status: 200, body: { order } };
  }

  #decide(order: string, card: Card): Outcome {
    const before = this.chargesOf(order).map((charge) => charge.outcome);
    if (before.includes('paid')) return 'repeated';
    if (card === 'fails-always') return 'declined';
    if (card === 'fails-once' && !before.includes('declined')) return 'declined';
    return 'paid';
  }
}
