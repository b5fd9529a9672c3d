import type { Airspace, Order } from './load-lease.js';
import type { Hot } from '../store/recently-seen.js';
import type { Kept } from '../local/local-tier.js';
import type { StoredValue } from '../store/stored-value.js';

/**
 * A look at what had a value a moment ago, kept in this process if that is wanted: the value, if it is fresh and its early refresh is not
 * due. `undefined` decides nothing: whose turn it then is, a question tells.
 *
 * @param lot of the early refresh
 */
export async function glance(
  airspace: Airspace,
  order: Order,
  hot: Hot,
  lot: number,
): Promise<StoredValue | undefined> {
  const { store, hotKeys } = airspace;
  const { entry } = order;
  const { value, leftMs } = await keeping(
    airspace,
    order,
    () => store.glance(entry, hot),
    (seen) => seen.value && kept(seen.value, seen.leftMs, lot),
  );
  if (!value) hotKeys.delete(entry);
  return value && lot * value.loadMs < leftMs ? value : undefined;
}

/** Asks, and keeps in this process what is answered, if that is wanted. */
export function keeping<T>(
  { local }: Airspace,
  { entry, options }: Order,
  ask: () => Promise<T>,
  found: (answer: T) => Kept | undefined,
): Promise<T> {
  return local && options.local ? local.keeping(entry, ask, found) : ask();
}

/** A copy lives until the early refresh would be due: then Redis is asked, which says whose turn it is. */
export function kept(value: StoredValue, leftMs: number, lot: number): Kept {
  return { value, leftMs: leftMs - lot * value.loadMs };
}
