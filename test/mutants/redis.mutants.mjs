/** Faults in what every feature stands on: connections, errors, inbox, scripts. */
const errors = { file: 'libs/redis/connection/server-errors.ts', specs: ['libs/redis/connection/server-errors'] };
const refusals = { specs: ['libs/redis/connection/refusals'] };
const health = { file: 'libs/redis/observe/connection-health.ts', specs: ['libs/redis/observe/connection-health'] };
const options = { file: 'libs/redis/redis.options.ts', specs: ['libs/redis/redis.options'] };
const module = { specs: ['libs/redis/redis.module'] };
const secrets = { specs: ['libs/sluice/secrets'] };
const statement = { file: 'libs/redis/observe/redis-statement.ts', specs: ['libs/redis/observe/redis-statement'] };
const fragment = { file: 'libs/redis/script/fragment.ts', specs: ['libs/redis/script/fragment'] };
const rights = { specs: ['libs/sluice/rights'] };
const generations = {
  file: 'libs/redis/collections/generational-map.ts',
  specs: ['libs/redis/collections/generational-map'],
};
const link = 'libs/redis/connection/link.ts';
const blocking = {
  file: 'libs/redis/connection/blocking-socket.ts',
  specs: ['libs/redis/connection/blocking-socket'],
};

export default [
  {
    file: 'libs/redis/connection/client-options.ts',
    name: 'a connection monitors if the options for ioredis say so',
    specs: ['libs/redis/redis.module.spec'],
    find: '  monitor: false,\n',
    replace: '',
  },
  {
    ...options,
    name: 'a client that monitors is accepted',
    find: 'if (client?.options.monitor === true) {',
    replace: 'if (false) {',
  },
  {
    file: 'libs/redis/connection/connection.ts',
    name: 'Redis is blamed for a boot that was closed',
    specs: ['libs/redis/redis.module.spec'],
    find: 'if (this.#closed) {',
    replace: 'if (false) {',
  },
  {
    ...blocking,
    name: 'an unblocking that overtook its read is not repeated',
    find: '&& tries < UNBLOCK_TRIES',
    replace: '&& tries < 1',
  },
  {
    ...blocking,
    name: 'a read that is over is unblocked',
    find: 'this.#blocked = false;\n    }',
    replace: '}',
  },
  {
    ...blocking,
    name: 'a new socket keeps the name of the one before',
    find: 'this.#name = undefined;\n      if (name',
    replace: 'if (name',
  },
  {
    ...errors,
    name: 'a reply is told by the class of one copy of ioredis',
    find: "return error instanceof ServerError || (!Object.hasOwn(error, 'code') && KIND.test(message));",
    replace: 'return error instanceof ServerError;',
  },
  {
    ...errors,
    name: 'a system error in capitals is a reply',
    find: "(!Object.hasOwn(error, 'code') && KIND.test(message))",
    replace: 'KIND.test(message)',
  },
  {
    ...errors,
    name: 'a refusal is told by how it begins, not by its word',
    find: 'const kind = KIND.exec(reply)?.[0];',
    replace: 'const kind = REDIS_REFUSALS.find((each) => reply.startsWith(each));',
  },
  {
    ...errors,
    name: 'a stream that was deleted under a blocked read is a failover',
    find: "if (kind === 'UNBLOCKED' && !reply.includes('instance state changed')) return undefined;",
    replace: '',
  },
  {
    ...errors,
    name: 'what the server repeats of a command is told',
    find: "return error.message.replace(/, with args beginning with:.*/s, '');",
    replace: 'return error.message;',
  },
  {
    ...refusals,
    file: errors.file,
    name: 'a script that lacks a right half-way has not run',
    find: "return { refusal: 'NOPERM', outcome: 'unknown' };",
    replace: "return { refusal: 'NOPERM', outcome: 'not-sent' };",
  },
  {
    ...refusals,
    file: link,
    name: 'what a server refuses for the moment is refused for good',
    find: 'if (passing === undefined) return',
    replace: 'if (passing !== undefined) return',
  },
  {
    file: link,
    name: 'a server that lost the scripts is told by the name of the error',
    find: "if (options.unknownScript !== undefined && error.message.startsWith('NOSCRIPT'))",
    replace: "if (options.unknownScript !== undefined && error.name === 'ReplyError')",
    specs: ['libs/redis/script/script'],
  },
  {
    ...fragment,
    name: 'a fragment uses what it does not name',
    find: 'without(free, [...given, ...locals])',
    replace: '[]',
  },
  {
    ...fragment,
    name: 'a fragment declares what it does not use',
    find: 'without(locals, free)',
    replace: '[]',
  },
  {
    ...fragment,
    name: 'a fragment needs what it does not use',
    find: 'unused.map(nameOf)',
    replace: '[]',
  },
  {
    ...fragment,
    name: 'a local of one fragment is as good as one of the script',
    find: 'joined.push(fragment);',
    replace: 'joined.push(fragment);\n    own.push(...fragment.exported);',
  },
  {
    ...fragment,
    name: 'a fragment may come before its locals',
    find: 'without(fragment.locals, own)',
    replace: '[]',
  },
  {
    ...fragment,
    name: 'a script may come before its fragments',
    find: 'without(free, [...visible, ...exported])',
    replace: '[]',
  },
  {
    ...fragment,
    name: 'a need of a fragment need not be named',
    find: 'visible.push(...part.exported);',
    replace: 'visible.push(...joined.flatMap((each) => each.exported));',
  },
  {
    ...fragment,
    name: 'a name may be declared twice',
    find: 'repeated([...own, ...joined.flatMap((each) => each.exported)])',
    replace: '[]',
  },
  {
    ...fragment,
    name: 'the locals of a function are seen behind it',
    file: 'libs/redis/script/lua-names.ts',
    find: 'if (depth === 0) exported',
    replace: 'exported',
  },
  {
    ...generations,
    name: 'a generation never ends',
    find: 'this.#young.size >= this.#size || ',
    replace: '',
  },
  {
    ...generations,
    name: 'a generation weighs nothing',
    find: ' || this.#youngWeight >= this.#weightMax',
    replace: '',
  },
  {
    ...generations,
    name: 'an entry in use dies with its generation',
    find: 'if (old !== undefined) this.#enter(key, old);',
    replace: '',
  },
  {
    ...generations,
    name: 'an entry that moved is in both generations',
    find: '    this.#old.delete(key);\n    if',
    replace: '    if',
  },
  {
    ...rights,
    name: 'a user without rights is not told at boot',
    file: 'libs/redis/connection/connection.ts',
    find: 'if (missing !== undefined) faults.push(missing);',
    replace: '',
  },
  {
    ...rights,
    name: 'an inbox without rights fills the log',
    file: 'libs/redis/inbox/inbox.ts',
    find: ' && !isUnavailable(error)',
    replace: '',
  },
  {
    ...rights,
    name: 'a user who may not run scripts has all rights',
    file: 'libs/redis/connection/rights.ts',
    find: "isReplyError(error, 'NOPERM')",
    replace: 'false',
  },
  {
    ...rights,
    name: 'only the first words of what needs rights are looked at',
    file: 'libs/redis/connection/rights.ts',
    find: 'at = at + count + 1',
    replace: 'at = #ARGV + 1',
  },
  {
    ...rights,
    name: 'the rights of locks are not looked at',
    file: 'libs/lock/store/lock.store.ts',
    find: '    connection.requireRights(lockRights(keyspace));\n',
    replace: '',
  },
  {
    ...rights,
    name: 'the rights of the cache are not looked at',
    file: 'libs/cache/store/cache.store.ts',
    find: '    connection.requireRights(keys.rights(this.invalidationChannel));\n',
    replace: '',
  },
  {
    file: 'libs/redis/collections/ring.ts',
    specs: ['libs/redis/collections/ring'],
    name: 'an element leaves its ring twice',
    find: 'if (next === this) return false;',
    replace: '',
  },
  {
    file: 'libs/redis/process-id.ts',
    specs: ['libs/redis/process-id'],
    name: 'any text of three parts is the id of a process',
    find: '-[0-9a-f]{12}$',
    replace: '.*$',
  },
  {
    ...health,
    name: 'a connection that its app closes is told as lost',
    find: 'if (!this.#closed) this.#down.begin(reason);',
    replace: 'this.#down.begin(reason);',
  },
  {
    ...health,
    name: 'a server that still refuses is well again',
    find: 'if (quietMs >= ACCEPTING_AFTER_MS)',
    replace: 'if (quietMs >= 0)',
  },
  {
    ...health,
    file: 'libs/redis/transition.ts',
    name: 'each sight of a state is told',
    find: 'if (this.#sinceMs !== undefined) return;',
    replace: '',
  },
  {
    ...health,
    file: 'libs/redis/connection/connection.ts',
    name: 'an app that boots without Redis is told nothing',
    find: 'if (!this.#isUp()) this.#health.lost(this.#lastError()?.message ?? `no answer',
    replace: 'if (this.#isUp()) this.#health.lost(this.#lastError()?.message ?? `no answer',
  },
  {
    file: 'libs/sluice/sluice-exception.filter.ts',
    name: 'a code without an answer of its own goes to other filters',
    find: 'return isSluiceError(error);',
    replace: 'return isSluiceError(error) && error.code in ANSWERS;',
    specs: ['libs/sluice/sluice-exception'],
  },
  {
    ...options,
    name: 'a text that is no URL is told',
    find: 'return `a text of ${url.length} characters that is none`',
    replace: 'return url',
  },
  {
    ...options,
    name: 'an option without a value is one that was not given',
    find: 'const unset = PLACES.find((name) => name in options && options[name] === undefined);',
    replace: 'const unset = PLACES.find(() => false);',
  },
  {
    ...options,
    name: 'a client that is none is told with its password',
    find: "SluiceTestingModule, no client)', shownType(client)",
    replace: "SluiceTestingModule, no client)', JSON.stringify(client)",
  },
  {
    ...module,
    file: 'libs/redis/connection/link.ts',
    name: 'the boot waits for a server that refuses the credentials',
    find: 'if (isDenied(error)) fail();',
    replace: '',
  },
  {
    ...module,
    file: 'libs/redis/connection/link.ts',
    name: 'the last error keeps the command with the password',
    find: 'this.#lastError = cleanError(error);',
    replace: 'this.#lastError = error;',
  },
  {
    ...module,
    file: 'libs/redis/redis.module.ts',
    name: 'a factory that returns nothing means the defaults',
    find: "if (given === undefined) throw noOptions('SluiceRedisModule');",
    replace: '',
  },
  {
    file: 'libs/redis/connection/link.ts',
    name: 'a socket error keeps the command with the payload',
    find: 'const cause = cleanError(error);',
    replace: 'const cause = error;',
    specs: ['libs/redis/connection/link.spec'],
  },
  {
    ...secrets,
    file: 'libs/redis/connection/link.ts',
    name: 'a refusal hands on the error of the client',
    find: 'if (passing === undefined) return new RedisRefusedError(message, reply);',
    replace:
      'if (passing === undefined) return Object.assign(new RedisRefusedError(message, reply), { cause: error });',
  },
  {
    ...statement,
    name: 'what follows the keys of a script is shown',
    find: '...rest.slice(0, keys).map(text)]',
    replace: '...rest.map(text)]',
  },
  {
    ...statement,
    name: 'the count of keys is believed',
    find: 'Math.max(0, Math.min(rest.length, Number(text(count)) || 0))',
    replace: 'Number(text(count))',
  },
];
