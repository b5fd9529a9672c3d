import type { ReadContext, ReadRequest } from './read-context.js';
import type { SeenEntry } from '../store/recently-seen.js';
import type { Kept } from '../local/local-tier.js';
import type { StoredValue } from '../store/stored-value.js';

/**
 * A look at what had a value a moment ago, kept in this process if that is wanted: the value, if it is fresh and its early refresh is not
 * due. `undefined` decides nothing: whose turn it then is, a question tells.
 *
 * @param lot of the early refresh
 */
export async function readOptimistically(
  context: ReadContext,
  request: ReadRequest,
  hot: SeenEntry,
  earlyRefreshDraw: number,
): Promise<StoredValue | undefined> {
  const { store, recentlySeen } = context;
  const { entry } = request;
  const { value, leftMs } = await keepingLocally(
    context,
    request,
    () => store.tryGet(entry, hot),
    (seen) => seen.value && keptCopy(seen.value, seen.leftMs, earlyRefreshDraw),
  );
  if (!value) recentlySeen.delete(entry);
  return value && earlyRefreshDraw * value.loadMs < leftMs ? value : undefined;
}

/** Asks, and keeps in this process what is answered, if that is wanted. */
export function keepingLocally<T>(
  { local }: ReadContext,
  { entry, options }: ReadRequest,
  ask: () => Promise<T>,
  found: (answer: T) => Kept | undefined,
): Promise<T> {
  return local && options.local ? local.keeping(entry, ask, found) : ask();
}

/** A copy lives until the early refresh would be due: then Redis is asked, which says whose turn it is. */
export function keptCopy(value: StoredValue, leftMs: number, earlyRefreshDraw: number): Kept {
  return { value, leftMs: leftMs - earlyRefreshDraw * value.loadMs };
}
