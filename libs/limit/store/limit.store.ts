import { randomBytes, randomInt } from 'node:crypto';
import { NONCE_BYTES, isUnavailable, type CommandArg, type Keyspace, type RedisConnection } from '../../redis/index.js';
import { limitRights } from './limit.keys.js';
import type {
  AdjustRequest,
  ConsumeRequest,
  LimitReply,
  LimitRequest,
  LimitRule,
  LimitRun,
  NotRead,
  OtherWindow,
} from './limit-rule.js';
import { adjustScript } from './scripts/adjust.script.js';
import { blockScript } from './scripts/block.script.js';
import { decodeReplies } from './scripts/consume.reply.js';
import { consumeScript } from './scripts/consume.script.js';
import { peekScript } from './scripts/peek.script.js';

/** Of a nonce, half of the characters are of the process, and half count. Each character has seven bits. */
const OWN_CHARS = NONCE_BYTES / 2;
const COUNT_MAX = 128 ** (NONCE_BYTES - OWN_CHARS) - 1;

/** So many keys keep the server busy for about 0.1 ms, if each is in the usual state. More of them save little. */
const KEYS_AT_ONCE = 32;

type SubjectReply = LimitReply | OtherWindow | NotRead;

/** All requests of rate limits to one Redis. Each request is one script, or one command. */
export class LimitStore {
  readonly #connection: RedisConnection;
  /** A nonce is a count, from a random number on, and random characters of this process. */
  readonly #own = String.fromCharCode(...randomBytes(OWN_CHARS).map((byte) => byte % 128));
  #count = randomInt(COUNT_MAX);
  /** The arguments of rules, which seldom change. */
  readonly #ruleArgs = new WeakMap<readonly LimitRule[], readonly CommandArg[]>();

  constructor(connection: RedisConnection, keyspace: Keyspace) {
    this.#connection = connection;
    connection.requireNoEviction('rate limits');
    connection.requireRights(limitRights(keyspace));
  }

  /** A name for a request that no other request has. ASCII, because a command with a Buffer is copied once more. */
  nonce(): string {
    const count = (this.#count = (this.#count + 1) & COUNT_MAX);
    return String.fromCharCode(count & 127, (count >> 7) & 127, (count >> 14) & 127, count >> 21) + this.#own;
  }

  /**
   * How many keys one request may name. One script for many subjects takes the server and this process half the time. On a server
   * that knows slots, each subject is a script, because its keys are in a slot of their own.
   */
  get keysAtOnce(): number {
    return this.#connection.slots.knowsSlots ? 1 : KEYS_AT_ONCE;
  }

  /**
   * Asks all rules for all calls of the request, in order: for each subject by itself.
   *
   * A socket that dies before the answer leaves open whether the request was executed. The request is then sent again under its
   * nonce, as soon as there is a socket, until `deadlineMs`.
   *
   * @returns the answers, in the order of the subjects
   * @throws RedisUnavailableError after `deadlineMs` at the latest
   */
  consume(request: ConsumeRequest, deadlineMs: number): Promise<readonly SubjectReply[]> {
    const { commands } = this.#connection;
    const { subjects, rules, runs, nonce } = request;
    const [only = []] = subjects;
    const restKeys = subjects.length === 1 ? only : subjects.flat();
    const args = { nonce, subjects: subjects.length };
    const call = { keys: {}, restKeys, args, rest: this.#argsOf(rules, runs) };
    const sentMs = performance.now();
    const leftMs = (): number => deadlineMs - (performance.now() - sentMs);
    const decoded = (reply: Buffer): readonly SubjectReply[] | Promise<readonly SubjectReply[]> => {
      const replies = decodeReplies(reply, rules.length, runs);
      return replies.every((each) => each !== undefined) ? replies : this.#askAlone(request, replies, leftMs());
    };
    return consumeScript.run(commands, call, { deadlineMs }).then(decoded, async (error: unknown) => {
      if (!isUnavailable(error) || error.outcome !== 'unknown' || error.refusal !== undefined) throw error;
      if (leftMs() < 1 || !(await commands.waitUntilUp(leftMs())) || leftMs() < 1) throw error;
      return decoded(await consumeScript.run(commands, call, { deadlineMs: leftMs() }));
    });
  }

  /** What calls of these runs would be answered now. Nothing is charged. */
  async peek(request: LimitRequest & { readonly runs: readonly LimitRun[] }): Promise<LimitReply | OtherWindow> {
    const { keys, rules, runs } = request;
    const call = { keys: {}, restKeys: keys, args: {}, rest: this.#argsOf(rules, runs) };
    const reply = await peekScript.run(this.#connection.commands, call);
    const [of] = decodeReplies(reply, rules.length, runs) as [LimitReply | OtherWindow];
    return of;
  }

  /** Charges units that were used, or gives units back. False: the window of a calendar that the request names has ended. */
  adjust(request: AdjustRequest): Promise<boolean> {
    const { keys, units, atUs, endsUs, nonce } = request;
    return adjustScript.run(this.#connection.commands, {
      keys: {},
      restKeys: keys,
      args: { nonce, units, at: atUs, ends: endsUs },
      rest: this.#argsOf(request.rules, []),
    });
  }

  /** Closes the limits of these keys for so many milliseconds. `once`: unless they are closed already. */
  async block(keys: readonly string[], ms: number, once: boolean): Promise<void> {
    await blockScript.run(this.#connection.commands, { keys: {}, restKeys: keys, args: { ms, once: once ? 1 : 0 } });
  }

  /** Forgets what was charged to these keys, and a block. */
  async reset(keys: readonly string[]): Promise<void> {
    await this.#connection.commands.send('del', keys);
  }

  /**
   * How many processes of this namespace listen to their inboxes; undefined if Redis does not tell. A server in cluster mode knows
   * only those that listen to itself.
   */
  async countProcesses(): Promise<number | undefined> {
    const { commands, inbox, slots } = this.#connection;
    await slots.whenLearned();
    if (slots.knowsSlots) return undefined;
    const pattern = `${inbox.prefix.replace(/[\\*?[\]]/g, '\\$&')}*`;
    try {
      const channels = await commands.send<string[]>('pubsub', ['channels', pattern], { quiet: true });
      return channels.length > 0 ? channels.length : undefined;
    } catch {
      // An outage, or a user that may not ask. The connection reports the first, and the share is the one of an unknown number.
      return undefined;
    }
  }

  /** What could not be read is asked once more, one subject a script: each then gets its own error. */
  async #askAlone(
    request: ConsumeRequest,
    replies: readonly (LimitReply | OtherWindow | undefined)[],
    deadlineMs: number,
  ): Promise<readonly SubjectReply[]> {
    const alone = async (keys: readonly string[], known: SubjectReply | undefined): Promise<SubjectReply> => {
      if (known !== undefined) return known;
      try {
        const [reply] = (await this.consume({ ...request, subjects: [keys] }, deadlineMs)) as [SubjectReply];
        return reply;
      } catch (error) {
        return { error };
      }
    };
    return Promise.all(request.subjects.map((keys, i) => alone(keys, replies[i])));
  }

  #argsOf(rules: readonly LimitRule[], runs: readonly LimitRun[]): readonly CommandArg[] {
    let args = this.#ruleArgs.get(rules);
    if (args === undefined) this.#ruleArgs.set(rules, (args = rules.flatMap(argsOfRule)));
    const [first] = runs;
    if (first === undefined || (runs.length === 1 && isUsual(first))) return args;
    return [...args, ...runs.flatMap(({ cost, calls, waitUs }) => [cost, calls, waitUs])];
  }
}

/** What the scripts take for granted if they are given no run. */
function isUsual({ cost, calls, waitUs }: LimitRun): boolean {
  return cost === 1 && calls === 1 && waitUs === 0;
}

function argsOfRule({ kind, limit, spanUs, x, y }: LimitRule): string[] {
  const args = [kind, String(limit), String(spanUs)];
  return kind === 's' || kind === 'f' ? args : [...args, String(x), String(y)];
}
