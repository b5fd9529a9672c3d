/** A question to the cache's store without tags, stale values, refresh or limit: an `AskRequest` but for its token. */
export const PLAIN_QUESTION = {
  tags: [] as string[],
  hasResultTags: false,
  keepMs: 60_000,
  staleMs: 0,
  waitForRefresh: false,
  earlyRefreshDraw: 0,
  source: '',
  limit: 0,
  retryForSlot: false,
};
