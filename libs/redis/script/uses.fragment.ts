import { defineFragment, lua, type Fragment } from './fragment.js';

/** The first word of a script's refusal. */
export const NEWER_DATA = 'NEWERDATA';

/** How many features a refusal names, and how many characters of each. Other software may have written the names. */
const MOST = 8;
const LONGEST = 40;

/**
 * The reading side of `:~uses`: a hash that names the features whose data only some releases know, with the release that
 * brought each: `order` → `0.4.0`. It is empty, and so does not exist, in a queue or lock without such data.
 *
 * - `unknownUses(uses)`: the features that this release does not know, as `name@release,name@release`; nil if there is none.
 * - `newerData(uses)`: the same as an error reply, which the script returns before it has changed anything; nil if there is none.
 *   `Link` makes a `NewerDataError` of it.
 *
 * A key of another type counts as a feature that is not known: a later release may keep the names in another way.
 *
 * @param known the features that this release knows
 * @see docs/internals/versions.md
 */
export function usesFragment(known: readonly string[]): Fragment {
  return defineFragment({
    name: 'uses',
    lua: lua`
local function unknownUses(uses)
  if redis.call('EXISTS', uses) == 0 then return nil end
  local known, unknown = { ${known.map((name) => `['${name}'] = true`).join(', ')} }, {}
  local found = redis.pcall('HGETALL', uses)
  if found.err then return '?@?' end
  for i = 1, #found, 2 do
    if not known[found[i]] and #unknown < ${MOST} then
      local name, release = string.sub(found[i], 1, ${LONGEST}), string.match(found[i + 1], '^%S*')
      unknown[#unknown + 1] = string.gsub(name, '[^%w_.-]', '?') .. '@' .. string.gsub(string.sub(release, 1, ${LONGEST}), '[^%w_.-]', '?')
    end
  end
  return unknown[1] and table.concat(unknown, ',')
end

local function newerData(uses)
  local unknown = unknownUses(uses)
  return unknown and redis.error_reply('${NEWER_DATA} ' .. unknown .. ' in ' .. uses)
end
`,
  });
}

/** A feature whose data this release does not know. */
export interface UnknownUse {
  /** Its name, for example `'order'`. */
  readonly feature: string;
  /** The release of this package that brought it; `'?'` where that is not known. */
  readonly since: string;
}

/** The features in a script's answer: see {@link usesFragment}. */
export function unknownUses(text: string): UnknownUse[] {
  return text.split(',').map((each) => {
    const [feature = '?', since = '?'] = each.split('@');
    return { feature, since };
  });
}
