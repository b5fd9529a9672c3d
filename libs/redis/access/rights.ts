import { isReplyError } from '../redis.errors.js';
import { lua } from '../script/fragment.js';
import { defineScript } from '../script/script.js';
import type { Link } from '../connection/link.js';

/**
 * A command that a feature uses, directly or inside a script: its name as in ACL rules (`xinfo|groups`), and the key or channel that
 * it is about; empty if it is about none.
 */
export type Right = readonly [command: string, about: string];

/** The rights to use each of these commands, written with spaces between them, on a key or channel. */
export function rightsOn(about: string, commands: string): Right[] {
  return commands.split(' ').map((command): Right => [command, about]);
}

/** What a user lacks, as sentences that name the fix. */
export interface MissingRights {
  /** Commands that are refused, alone or on keys. Scripts that use them fail half-way. */
  readonly refused?: string;
  /** Channels that are refused. Features work without them, with delays. */
  readonly channels?: string;
}

/**
 * Finds out which commands the user of this connection may not run. None of them is run.
 *
 * KEYS  none: with keys, a server would refuse the script itself for a key that the user may not use
 * ARGV  per command: the number of its words, then the words
 * Reply the positions of refused commands, from 1, and those of commands that the server does not know as negative numbers; none on
 *       a server without `redis.acl_check_cmd` (older than 7.0, or no Redis)
 *
 * Read-only: a crash, a repeat, a reorder change nothing.
 */
const rightsScript = defineScript({
  name: 'redis:rights',
  keys: [],
  args: {},
  lua: lua`
local found, position, at = {}, 0, rest + 1
if not redis.acl_check_cmd then return found end
while at <= #ARGV do
  local count = tonumber(ARGV[at])
  position = position + 1
  local answered, may = pcall(redis.acl_check_cmd, unpack(ARGV, at + 1, at + count))
  if answered and not may then found[#found + 1] = position end
  local fault = answered and '' or type(may) == 'table' and may.err or tostring(may)
  if string.find(fault, 'Invalid command', 1, true) then found[#found + 1] = -position end
  at = at + count + 1
end
return found`,
  decode: (reply) => reply as number[],
});

/** What the user of a connection may not do although it is needed. Nothing, if the server does not tell. One round trip. */
export async function missingRights(link: Link, rights: readonly Right[]): Promise<MissingRights> {
  const words = rights.flatMap((right) => {
    const call = callOf(right);
    return [call.length, ...call];
  });
  let found: readonly number[];
  try {
    // As text, because the script is run once.
    found = await link.send<number[]>('eval', [rightsScript.lua, 0, ...words], { quiet: true });
  } catch (error) {
    // Other errors have nothing to do with rights. Each use of the connection reports them.
    return isReplyError(error, 'NOPERM') ? { refused: `the user may not run scripts (EVAL, EVALSHA). ${FIX}` } : {};
  }
  const rightAt = (position: number): Right => rights[Math.abs(position) - 1] as Right;
  const ofChannels = found.filter((position) => CHANNEL_COMMANDS.has(rightAt(position)[0]));
  const refused = found.filter((position) => position > 0 && !ofChannels.includes(position)).map(rightAt);
  const unknown = found.filter((position) => position < 0).map(rightAt);
  const parts = [
    ...(refused.length > 0 ? [`the user may not run ${listed(refused)}`] : []),
    ...(unknown.length > 0 ? [`the server does not know ${listed(unknown)}`] : []),
  ];
  return {
    ...(parts.length > 0 && { refused: `${parts.join(', and ')}. ${FIX}` }),
    ...(ofChannels.length > 0 && { channels: `the user may not run ${listed(ofChannels.map(rightAt))}. ${FIX}` }),
  };
}

/** By what they are about: `SET, DEL on 'shop:lock:any'`. */
function listed(rights: readonly Right[]): string {
  const commandsOf = new Map<string, string[]>();
  for (const [command, about] of rights) {
    const shown = command.toUpperCase().replace('|', ' ');
    commandsOf.set(about, [...(commandsOf.get(about) ?? []), shown]);
  }
  const each = [...commandsOf].map(([about, commands]) => commands.join(', ') + (about === '' ? '' : ` on '${about}'`));
  return each.join('; ');
}

const CHANNEL_COMMANDS: ReadonlySet<string> = new Set(['publish', 'subscribe']);

const FIX = "Grant it with ACL SETUSER; SECURITY.md, 'Rights in Redis', has a rule for each feature";

/** How many arguments a command needs after its key, at least. Newer servers count them before they look at rights. */
const FURTHER_ARGS: Readonly<Record<string, number>> = {
  ...{ hdel: 1, hget: 1, hmget: 1, hset: 2, pexpire: 1, publish: 1, set: 1 },
  ...{ zadd: 2, zcount: 2, zmscore: 1, zrange: 2, zrangebyscore: 2, zrank: 1 },
  ...{ zrem: 1, zremrangebyscore: 2, zrevrange: 2, zscore: 1 },
  ...{ xack: 2, xadd: 3, xclaim: 4, xdel: 1, xpending: 1, xrange: 2, xrevrange: 2, xtrim: 2 },
  ...{ 'xgroup|create': 2, 'xgroup|delconsumer': 2, 'xgroup|destroy': 1, 'xinfo|consumers': 1 },
};

/** A call of the command, in its shortest form. Its arguments mean nothing. */
export function callOf([command, about]: Right): string[] {
  if (command === 'xread') return ['xread', 'STREAMS', about, '0'];
  if (command === 'xreadgroup') return ['xreadgroup', 'GROUP', '', '', 'STREAMS', about, '>'];
  const further = Array.from({ length: FURTHER_ARGS[command] ?? 0 }, () => '');
  return [...command.split('|'), ...(about === '' ? [] : [about]), ...further];
}
