import type { Question } from '../store/cache.store.js';
import { keeping, kept } from './optimistic-read.js';
import type { Airspace, Order } from './load-lease.js';
import { keepOf } from '../load-options.js';
import type { Answer } from '../store/scripts/ask.script.js';

/** Asks for the value of an order, or the lease to load it, or a place among those who wait; a hit is kept in this process if that is wanted. */
export function ask(
  airspace: Airspace,
  order: Order,
  { token, lot, woken }: Pick<Question, 'token' | 'lot' | 'woken'>,
): Promise<Answer> {
  const { entry, options } = order;
  const question: Question = {
    token,
    tags: options.tags,
    late: options.resultTags !== undefined,
    keepMs: keepOf(options),
    staleMs: options.staleMs,
    patient: options.softTimeoutMs > 0,
    lot,
    source: options.source,
    limit: options.maxConcurrentLoads,
    woken,
  };
  return keeping(
    airspace,
    order,
    () => airspace.store.ask(entry, question),
    (given) => (given.kind === 'hit' ? kept(given.value, given.value.freshUntilMs - given.serverMs, lot) : undefined),
  );
}
