import type { Link } from '../redis/index.js';
import type { Worker } from './worker.js';

/** A row of XPENDING: id, consumer, milliseconds since its delivery, how often it was delivered. */
type Pending = [id: string, consumer: string, idleMs: number, deliveries: number];

/**
 * Compares what Redis counts as pending with this process with what the worker holds. Called while no read is under way.
 *
 * Not ours any more: while our lease had lapsed, others took over; what did not start yet is dropped.
 * Ours, unknown to us and older than a lease: it was delivered, but the socket died before it arrived. No one else
 * would ever take it, for we live. It is claimed anew; the age is checked by that, so that what another process takes
 * over in this moment stays with it.
 */
export async function audit(worker: Worker, link: Link, consumer: string, leaseMs: number): Promise<void> {
  const { stream } = worker.keys;
  const { group } = worker.handler.options;
  const limit = worker.heldCount + 1_000;
  const pending = await link.send<Pending[]>('xpending', [stream, group, '-', '+', limit, consumer]);
  if (pending.length < limit) worker.keepOnly(new Map(pending.map(([id, , , deliveries]) => [id, deliveries])));
  worker.suspect = false;
  worker.pump();

  const lost = pending.filter(([id]) => !worker.holds(id)).slice(0, worker.credit);
  if (lost.length === 0) return;
  const ids = lost.map(([id]) => id);
  const claimed = await link.send<([string, string[]] | null)[]>('xclaim', [stream, group, consumer, leaseMs, ...ids]);
  const deliveriesOf = new Map(lost.map(([id, , , deliveries]) => [id, deliveries + 1]));
  worker.accept(
    claimed
      .filter((entry) => entry !== null)
      .map(([id, fields]) => ({ id, fields, deliveries: deliveriesOf.get(id) ?? 1 })),
  );
}
