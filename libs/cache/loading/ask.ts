import type { AskRequest } from '../store/cache.store.js';
import { keepingLocally, keptCopy } from './optimistic-read.js';
import type { ReadContext, ReadRequest } from './read-context.js';
import { keepOf } from '../load-options.js';
import type { Answer } from '../store/scripts/ask.script.js';

/** Asks for the value of an order, or the lease to load it, or a place among those who wait; a hit is kept in this process if that is wanted. */
export function ask(
  context: ReadContext,
  request: ReadRequest,
  { token, earlyRefreshDraw, retryForSlot }: Pick<AskRequest, 'token' | 'earlyRefreshDraw' | 'retryForSlot'>,
): Promise<Answer> {
  const { entry, options } = request;
  const question: AskRequest = {
    token,
    tags: options.tags,
    hasResultTags: options.resultTags !== undefined,
    keepMs: keepOf(options),
    staleMs: options.staleMs,
    waitForRefresh: options.softTimeoutMs > 0,
    earlyRefreshDraw,
    source: options.source,
    limit: options.maxConcurrentLoads,
    retryForSlot,
  };
  return keepingLocally(
    context,
    request,
    () => context.store.ask(entry, question),
    (given) =>
      given.kind === 'hit'
        ? keptCopy(given.value, given.value.freshUntilMs - given.serverMs, earlyRefreshDraw)
        : undefined,
  );
}
