import { isReplyError } from '../redis.errors.js';
import { lua } from '../script/fragment.js';
import { defineScript } from '../script/script.js';
import type { Link } from '../connection/link.js';

/** A command as a feature sends it: its name, then the key or channel that it is about, then further arguments. */
export type Right = readonly [command: string, about: string, ...rest: string[]];

/**
 * Finds out which commands the user of this connection may not run. None of them is run.
 *
 * KEYS  none: with keys, a server would refuse the script itself for a key that the user may not use
 * ARGV  per command: the number of its words, then the words
 * Reply the refused ones as positions, from 1; none on a server without `redis.acl_check_cmd` (older than 7.0, or no Redis)
 *
 * Read-only: a crash, a repeat, a reorder change nothing.
 */
const rightsScript = defineScript({
  name: 'redis:rights',
  keys: [],
  args: {},
  lua: lua`
local refused, position, at = {}, 0, rest + 1
if not redis.acl_check_cmd then return refused end
while at <= #ARGV do
  local count = tonumber(ARGV[at])
  position = position + 1
  if not redis.acl_check_cmd(unpack(ARGV, at + 1, at + count)) then refused[#refused + 1] = position end
  at = at + count + 1
end
return refused`,
  decode: (reply) => reply as number[],
});

/**
 * What the user of a connection may not do although it is needed, in one sentence that names the fix. Undefined if nothing is
 * missing, or if the server does not tell.
 */
export async function missingRights(link: Link, rights: readonly Right[]): Promise<string | undefined> {
  const words = rights.flatMap((right) => [right.length, ...right]);
  let refused: readonly number[];
  try {
    // As text, because the script is run once.
    refused = await link.send<number[]>('eval', [rightsScript.lua, 0, ...words], { quiet: true });
  } catch (error) {
    // Other errors have nothing to do with rights. Each use of the connection reports them.
    return isReplyError(error, 'NOPERM') ? `the user may not run scripts (EVAL, EVALSHA). ${FIX}` : undefined;
  }
  if (refused.length === 0) return undefined;
  const commandsOf = new Map<string, string[]>();
  for (const position of refused) {
    const [command, about] = rights[position - 1] as Right;
    commandsOf.set(about, [...(commandsOf.get(about) ?? []), command.toUpperCase()]);
  }
  const each = [...commandsOf].map(([about, commands]) => `${commands.join(', ')} on '${about}'`);
  return `the user may not run ${each.join('; ')}. ${FIX}`;
}

const FIX = "Grant it with ACL SETUSER; SECURITY.md, 'Rights in Redis', has a rule for each feature";
