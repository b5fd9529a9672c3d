import { keepOf } from '../load-options.js';
import type { AskRequest } from '../store/cache.store.js';
import type { FoundValue } from '../store/get-batcher.js';
import type { SeenEntry } from '../store/recently-seen.js';
import type { Answer } from '../store/scripts/ask.script.js';
import type { StoredValue } from '../store/stored-value.js';
import { DecodedCopies, type Copies } from '../local/decoded-copies.js';
import type { Kept, LocalTier } from '../local/local-tier.js';
import type { ReadContext, ReadRequest } from './read-context.js';

/** What differs from one question to the next of the same read. */
type AskOverrides = Pick<AskRequest, 'token' | 'earlyRefreshDraw' | 'retryForSlot'>;

/** A value that was found. */
export interface FoundOutcome {
  readonly kind: 'value';
  readonly copies: Copies;
}

/**
 * Reads an entry that had a value a moment ago, without a script. Returns the value if it is fresh and its early refresh is not
 * due. `undefined` decides nothing: ask with {@link askFor}.
 */
export async function tryGet(
  context: ReadContext,
  request: ReadRequest,
  seen: SeenEntry,
  earlyRefreshDraw: number,
): Promise<FoundOutcome | undefined> {
  const { store, recentlySeen, availability } = context;
  const { entry } = request;
  const local = localTierOf(context, request);
  let found: FoundValue;
  try {
    found = await (local
      ? local.keeping(
          entry,
          () => store.tryGet(entry, seen),
          (given) => given.value && keptCopy(given.value, given.leftMs, earlyRefreshDraw),
        )
      : store.tryGet(entry, seen));
  } catch (error) {
    request.meter.bypassed(request.key, availability.bypassed(error));
    throw error;
  }
  availability.answered();
  const { value, leftMs } = found;
  if (!value) recentlySeen.delete(entry);
  return value && earlyRefreshDraw * value.loadMs < leftMs ? foundOutcome(context, request, value) : undefined;
}

/** A value that Redis had. `undefined`: the value cannot be read. */
export function foundOutcome(
  { recentlySeen }: ReadContext,
  request: ReadRequest,
  value: StoredValue,
): FoundOutcome | undefined {
  const found = decodedOutcome(request, value.text);
  if (found) recentlySeen.add(request.entry, value);
  return found;
}

/** As {@link foundOutcome}, from the text of the value alone. The entry is not remembered as recently seen. */
export function decodedOutcome({ key, options, meter }: ReadRequest, text: string): FoundOutcome | undefined {
  try {
    return { kind: 'value', copies: new DecodedCopies(text, options.revive) };
  } catch {
    meter.broken(key);
    return undefined;
  }
}

/**
 * Asks Redis for a value, or the lease to load it, or a place among the requests that wait for it. A hit is kept in the local
 * tier.
 */
export function askFor(context: ReadContext, request: ReadRequest, overrides: AskOverrides): Promise<Answer> {
  const { store } = context;
  const { entry, options } = request;
  const { token, earlyRefreshDraw, retryForSlot } = overrides;
  const question: AskRequest = {
    token,
    tags: options.tags,
    hasResultTags: options.resultTags !== undefined,
    keepMs: keepOf(options),
    staleMs: options.staleMs,
    waitForRefresh: options.softTimeoutMs > 0,
    earlyRefreshDraw,
    source: options.source,
    limit: request.limit,
    retryForSlot,
  };
  const local = localTierOf(context, request);
  if (!local) return store.ask(entry, question);
  return local.keeping(
    entry,
    () => store.ask(entry, question),
    (answer) =>
      answer.kind === 'hit'
        ? keptCopy(answer.value, answer.value.freshUntilMs - answer.serverMs, earlyRefreshDraw)
        : undefined,
  );
}

function localTierOf({ local }: ReadContext, { options }: ReadRequest): LocalTier | undefined {
  return options.local ? local : undefined;
}

/** A copy lives until the early refresh would be due. Then Redis is asked, and tells one reader to refresh. */
function keptCopy(value: StoredValue, leftMs: number, earlyRefreshDraw: number): Kept {
  return { value, leftMs: leftMs - earlyRefreshDraw * value.loadMs };
}
