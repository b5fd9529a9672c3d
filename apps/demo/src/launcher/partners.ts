import { setTimeout as pause } from 'node:timers/promises';
import type { JsonReply, JsonRequest } from './json-server.js';

/** A call of a partner. */
export interface PartnerCall {
  partner: string;
  at: number;
}

/** How long a partner takes for a call. */
const SLOWNESS_MS = 20;

/** The servers of the shop's partners. What they have seen is the truth about what they were told. */
export class Partners {
  /** By the ids of their tasks, in the order in which they came: a call that is made again is known. */
  readonly calls = new Map<string, PartnerCall>();
  /** The most calls that one partner had at the same time. */
  most = 0;
  readonly #atOnce = new Map<string, number>();

  async answer({ body, gone }: JsonRequest): Promise<JsonReply> {
    const { id, partner } = body as { id: string; partner: string };
    if (!this.calls.has(id)) this.calls.set(id, { partner, at: performance.now() });
    this.most = Math.max(this.most, this.#count(partner, 1));
    await pause(SLOWNESS_MS, undefined, { signal: gone }).catch(() => {});
    this.#count(partner, -1);
    return { status: 200, body: { id } };
  }

  #count(partner: string, change: number): number {
    const calls = (this.#atOnce.get(partner) ?? 0) + change;
    this.#atOnce.set(partner, calls);
    return calls;
  }
}
