import { createHash } from 'node:crypto';
import type { CommandArg } from '../connection/encoded-command.js';
import type { Link, SendOptions, Sent } from '../connection/link.js';
import { joinLua, type LuaText } from './fragment.js';

/** How an argument is sent, and what Lua sees: text and bytes arrive as strings, numbers through `tonumber`. */
export type ArgType = 'text' | 'bytes' | 'number';

type ArgValue<T extends ArgType> = T extends 'number' ? number : T extends 'bytes' ? string | Buffer : string;

export interface ScriptDefinition<K extends string, A extends Record<string, ArgType>, R> {
  /** For errors and `SLOWLOG`: the first line of the text. */
  name: string;
  /**
   * The keys the script touches, in order; each is a Lua local of that name. Further ones (`restKeys`) are the rest of `KEYS`.
   */
  keys: readonly K[];
  /** The arguments, in order; each is a Lua local of that name, a number where declared so. */
  args: A;
  /**
   * The body. Further arguments (`rest`) are `ARGV[rest + 1]`, `ARGV[rest + 2]`, … The name `oneServer` is true on a server that
   * knows no slots: there PUBLISH counts every receiver. In a Cluster it counts those at one node, so 0 proves nothing.
   */
  lua: LuaText;
  /** Replies arrive as Buffers. Default false: strings. */
  buffers?: boolean;
  /**
   * Commands to which the user's right is looked at before the script begins: without it, the script is refused as a whole (`NOPERM`). Redis
   * does not roll back: a script that lacks a right half-way has done its first half. For scripts that move what must not be lost. It takes a
   * few microseconds. Default: none.
   */
  rights?: readonly string[];
  decode: (reply: unknown) => R;
}

export interface ScriptCall<K extends string, A extends Record<string, ArgType>> {
  keys: Record<K, string>;
  args: { [N in keyof A]: ArgValue<A[N]> };
  /** Arguments after the named ones, any number of them. */
  rest?: readonly CommandArg[];
  /** Keys after the named ones, any number of them. */
  restKeys?: readonly string[];
}

/** A server-side script with typed keys, arguments and reply. */
export interface Script<K extends string, A extends Record<string, ArgType>, R> {
  readonly name: string;
  /** The text for a server that knows no slots, and its hash. They differ from those for other servers only by `oneServer`. */
  readonly lua: string;
  readonly sha: string;
  run(link: Link, call: ScriptCall<K, A>, options?: RunOptions<R, ScriptCall<K, A>>): Promise<R>;
}

export interface RunOptions<R, C = unknown> {
  /** Milliseconds until the call rejects if no reply came. Default: the connection's `commandTimeoutMs`. */
  deadlineMs?: number;
  /** As in {@link SendOptions}: `deadlineMs` counts from the last byte that the server sent. */
  whileSilent?: boolean;
  /** As in {@link SendOptions}: sent whether it is needed or not. */
  background?: boolean;
  /** Called with a reply that came after the deadline, so that the caller can give back what the reply granted. */
  late?: (reply: R) => void;
  /**
   * Makes the call for a server that did not know the script. Such a server has executed the commands that were sent after the
   * first try, so the first call may be out of date by now. Default: the same call.
   */
  again?: () => C;
}

/**
 * Declares a Lua script: names for KEYS and ARGV instead of positions, checked by the compiler.
 *
 * A call sends the hash of the text. A server that does not know the script (it restarted, failed over, or was flushed) answers
 * NOSCRIPT and gets the text. Nothing ran before that answer, so the repeat is safe. Calls made in one turn of the event loop
 * leave as one pipeline.
 *
 * @throws TypeError naming the script, if its Lua uses a name that is not declared, or declares a name twice
 *
 * @example
 * const release = defineScript({
 *   name: 'release',
 *   keys: ['lock'],
 *   args: { owner: 'text' },
 *   lua: lua`if redis.call('GET', lock) == owner then return redis.call('DEL', lock) end return 0`,
 *   decode: (reply) => reply === 1,
 * });
 * await release.run(link, { keys: { lock: 'lock:job' }, args: { owner } });
 */
export function defineScript<const K extends string, const A extends Record<string, ArgType>, R>(
  definition: ScriptDefinition<K, A, R>,
): Script<K, A, R> {
  const { name, keys, args, decode, buffers = false, rights } = definition;
  const argNames = Object.keys(args);
  const head = [
    `-- ${name}`,
    ...keys.map((key, i) => `local ${key} = KEYS[${i + 1}]`),
    ...argNames.map(
      (arg, i) => `local ${arg} = ${args[arg] === 'number' ? `tonumber(ARGV[${i + 1}])` : `ARGV[${i + 1}]`}`,
    ),
    `local rest = ${argNames.length}`,
  ];
  const body = joinLua(name, definition.lua, [...keys, ...argNames, 'rest', ONE_SERVER]);
  if (rights !== undefined) head.push(refusedWithout(rights));
  const { text, sha, inCluster } = textsOf(head, body);

  const encode = (call: ScriptCall<K, A>, link: Link): CommandArg[] | TypeError => {
    const known = inCluster !== undefined && link.slots.knowsSlots ? inCluster.sha : sha;
    const argv: CommandArg[] = [known, keys.length + (call.restKeys?.length ?? 0)];
    for (const key of keys) argv.push(call.keys[key]);
    if (call.restKeys !== undefined) for (const key of call.restKeys) argv.push(key);
    for (const arg of argNames) {
      const value = call.args[arg];
      if (value === undefined || (typeof value === 'number' && !Number.isFinite(value))) {
        return new TypeError(`script ${name}: argument ${arg} is ${String(value)}`);
      }
      argv.push(value);
    }
    if (call.rest !== undefined) for (const value of call.rest) argv.push(value);
    return argv;
  };

  /** Sends the whole text. Nothing ran before the NOSCRIPT answer. */
  const unknownScript = ({ link, args, options }: Sent): unknown => {
    const known = inCluster !== undefined && args[0] === inCluster.sha ? inCluster.text : text;
    return link.send('eval', [known, ...args.slice(1)], options);
  };
  const title = `script ${name}`;
  const usual: SendOptions = { buffers, decode, unknownScript, title };

  return {
    name,
    lua: text,
    sha,
    run(link, call, { deadlineMs, whileSilent, background, late, again }: RunOptions<R, ScriptCall<K, A>> = {}) {
      // This path is taken 100,000 times a second, so it copies no options and makes one promise.
      const argv = encode(call, link);
      if (argv instanceof Error) return Promise.reject(argv);
      if (deadlineMs === undefined && late === undefined && again === undefined)
        return link.send<R>('evalsha', argv, usual);
      const send: SendOptions = { buffers, decode, unknownScript, title };
      if (deadlineMs !== undefined) send.deadlineMs = deadlineMs;
      if (whileSilent !== undefined) send.whileSilent = whileSilent;
      if (background !== undefined) send.background = background;
      if (late !== undefined) {
        // The function is stored in a variable first: see ADR 19.
        const decoded = (reply: unknown): void => {
          late(decode(reply));
        };
        send.late = decoded;
      }
      if (again !== undefined) {
        const anew = (sent: Sent): unknown => {
          const args = encode(again(), sent.link);
          return args instanceof Error ? Promise.reject(args) : unknownScript({ ...sent, args });
        };
        send.unknownScript = anew;
      }
      return link.send<R>('evalsha', argv, send);
    },
  };
}

/** The reserved name: see `ScriptDefinition.lua`. */
const ONE_SERVER = 'oneServer';

interface Text {
  readonly text: string;
  readonly sha: string;
}

/** A script has one text. One that uses {@link ONE_SERVER} has a second one, for servers that know slots or may know them. */
function textsOf(head: readonly string[], body: string): Text & { inCluster: Text | undefined } {
  if (!new RegExp(`\\b${ONE_SERVER}\\b`).test(body)) return { ...hashed([...head, body]), inCluster: undefined };
  const [one, inCluster] = [true, false].map((is) => hashed([...head, `local ${ONE_SERVER} = ${is}`, body]));
  return { ...(one as Text), inCluster };
}

/**
 * Redis checks the slots of keys that a script computes only if its text begins with this line. It also refuses such a script
 * whole where it would refuse one of its writes (OOM, READONLY), so users are sent none of it. `npm run test:topologies` sets the
 * variable for its suites in cluster mode.
 */
const checked = (): string[] => (process.env['SLUICE_TEST_COMPUTED_KEYS'] === '1' ? ['#!lua'] : []);

function hashed(lines: readonly string[]): Text {
  const text = [...checked(), ...lines].join('\n');
  return { text, sha: createHash('sha1').update(text).digest('hex') };
}

/** Lua that refuses a script if its user lacks one of these commands. A server older than 7.0 does not tell. */
function refusedWithout(commands: readonly string[]): string {
  const calls = commands.map(
    (command) =>
      `{ ${command
        .split(' ')
        .map((word) => `'${word}', `)
        .join('')}KEYS[1] }`,
  );
  return `if redis.acl_check_cmd then for _, call in ipairs({ ${calls.join(', ')} }) do if not redis.acl_check_cmd(unpack(call)) then
return redis.error_reply('NOPERM this user has no permissions to run the ' .. call[1] .. ' command') end end end`;
}
