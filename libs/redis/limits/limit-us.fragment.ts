import { defineFragment, lua, type Fragment } from '../script/fragment.js';
import { LIMIT } from './limit.fragment.js';

/**
 * {@link LIMIT} for scripts whose `now` is another time, as in milliseconds: it reads the time in µs from the local `nowUs`.
 */
export const LIMIT_US = defineFragment({
  name: 'limit in µs',
  locals: ['nowUs'],
  lua: lua`${withNeeds(LIMIT).replace(/\bnow\b/g, 'nowUs')}`,
});

/** The text of a fragment after the texts that it needs, each once. */
function withNeeds(fragment: Fragment, joined = new Set<Fragment>()): string {
  if (joined.has(fragment)) return '';
  joined.add(fragment);
  return [...fragment.needs.map((need) => withNeeds(need, joined)), fragment.text].join('\n');
}
