import type { AskRequest } from '../../libs/cache/store/cache.store.js';

/** A question to the cache's store without tags, stale values, refresh or limit. */
export const PLAIN_QUESTION: Omit<AskRequest, 'token'> = {
  tags: [],
  hasResultTags: false,
  keepMs: 60_000,
  staleMs: 0,
  waitForRefresh: false,
  earlyRefreshDraw: 0,
  source: '',
  limit: 0,
  retryForSlot: false,
};
