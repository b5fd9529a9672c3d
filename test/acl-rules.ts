import { readFileSync } from 'node:fs';
import { CacheKeys } from '../libs/cache/store/cache.keys.js';
import { LIMIT_OPTIONAL, limitRights } from '../libs/limit/store/limit.keys.js';
import { lockRights } from '../libs/lock/store/lock.keys.js';
import { queueKeys } from '../libs/queue/store/queue.keys.js';
import { QUEUE_CALLS, QUEUE_OPTIONAL, workRights } from '../libs/queue/store/queue.rights.js';
import { Keyspace, type Right } from '../libs/redis/index.js';

export type RuleName = 'every feature' | 'locks' | 'the cache' | 'a queue' | 'rate limits';

const keyspace = new Keyspace('shop');

/** What the connection itself sends: INFO is looked at by the boot and by ioredis, CLIENT SETNAME names the sockets. */
const OF_CONNECTION = ['client|setname', 'eval', 'evalsha', 'info', 'publish', 'subscribe'];

interface Rule {
  readonly keys: string;
  readonly commands: readonly string[];
}

const commandsOf = (rights: readonly Right[]): string[] => rights.map(([command]) => command);

const LOCKS: Rule = { keys: '~shop:lock:* ~{shop:lock:*', commands: commandsOf(lockRights(keyspace)) };
const CACHE: Rule = { keys: '~{shop:cache}*', commands: commandsOf(new CacheKeys(keyspace).rights('')) };
const QUEUE: Rule = {
  keys: '~shop:orders ~{shop:orders}*',
  commands: [...commandsOf(workRights([queueKeys(keyspace, 'orders')])), ...QUEUE_CALLS, ...QUEUE_OPTIONAL],
};
const LIMITS: Rule = { keys: '~{shop:rl:*', commands: [...commandsOf(limitRights(keyspace)), ...LIMIT_OPTIONAL] };

const RULES: Readonly<Record<RuleName, Rule>> = {
  'every feature': {
    keys: '~shop:* ~{shop:*',
    commands: [LOCKS, CACHE, QUEUE, LIMITS].flatMap(({ commands }) => commands),
  },
  locks: LOCKS,
  'the cache': CACHE,
  'a queue': QUEUE,
  'rate limits': LIMITS,
};

/** The commands of a rule, as ACL rules name them, sorted. */
export function commandsOfRule(name: RuleName): string[] {
  return [...new Set([...OF_CONNECTION, ...RULES[name].commands])].sort();
}

/** The lines of SECURITY.md, as the rights of the features make them. */
export const ACL_LINES: readonly (readonly [RuleName, string])[] = (Object.keys(RULES) as RuleName[]).map((name) => {
  const probe = name === 'every feature' ? '' : ' ~{shop:slots*';
  const commands = commandsOfRule(name).map((command) => `+${command}`);
  const rule = `on >password resetkeys ${RULES[name].keys}${probe} resetchannels &shop::~* nocommands ${commands.join(' ')}`;
  return [name, rule];
});

/** The lines as they are in SECURITY.md. */
export function linesOfSecurityPage(): string[] {
  const page = readFileSync('SECURITY.md', 'utf8');
  return [...page.matchAll(/^ACL SETUSER shop (.*)$/gm)].map(([, rule = '']) => rule);
}
