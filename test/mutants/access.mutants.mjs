/** Faults in what a boot asks of a server: its role and its database. */
const role = { file: 'libs/redis/access/await-primary.ts', specs: ['libs/redis/access/await-primary'] };
const database = { file: 'libs/redis/access/database-check.ts', specs: ['libs/redis/access/database-check'] };
const fitness = 'libs/redis/access/server-fitness.ts';
const rights = { file: 'libs/redis/access/rights.ts', specs: ['libs/sluice/rights'] };

export default [
  {
    file: 'libs/redis/access/credentials.ts',
    specs: ['libs/redis/access/credentials'],
    name: 'each question for credentials leaves a listener',
    find: "signal.removeEventListener('abort', abandoned);",
    replace: '',
  },
  {
    ...role,
    name: 'a boot does not wait for a failover that is under way',
    find: 'if (leftMs <= 0) return told',
    replace: 'if (true) return told',
  },
  { ...role, name: 'a boot waits at the address that it found first', find: '    reconnect();\n', replace: '' },
  {
    ...role,
    file: fitness,
    name: 'a replica is fit unless the connection is strict',
    find: 'if (role !== undefined && required) throw',
    replace: 'if (role !== undefined && required && strict) throw',
  },
  {
    ...database,
    name: 'data stands in database 0 where SELECT is refused',
    find: "if (!isReplyError(error, '')) return undefined;",
    replace: 'return undefined;',
  },
  {
    ...database,
    file: fitness,
    name: 'a server that refuses the database takes commands where the boot does not wait',
    find: 'throw (this.#useless = new SluiceError(code, this.#told(useless)));',
    replace: 'throw new SluiceError(code, this.#told(useless));',
  },
  {
    ...rights,
    file: fitness,
    name: 'a boot goes on without a command that scripts need',
    find: "if (refused !== undefined) throw new SluiceError('SLUICE_REDIS_UNFIT', this.#told(refused));",
    replace: 'if (refused !== undefined) faults.push(refused);',
  },
  {
    ...rights,
    file: fitness,
    name: 'a connection that is not required fails the boot for a right of the queue',
    find: 'if (config.required) throw error;',
    replace: 'throw error;',
  },
  {
    ...rights,
    name: 'a command that the server does not know counts as there',
    find: "'Invalid command', 1, true",
    replace: "'No such text', 1, true",
  },
  {
    ...rights,
    name: 'what a call of a command looks like does not matter',
    find: '{ length: FURTHER_ARGS[command] ?? 0 }',
    replace: '{ length: 0 }',
  },
  {
    ...rights,
    file: 'libs/queue/worker/queue.consumers.ts',
    name: 'tasks are taken while rights are looked at',
    find: 'await this.#connections.get(this.#settings.connection).checkRights(rights);',
    replace: 'void this.#connections.get(this.#settings.connection).checkRights(rights).catch(() => {});',
  },
  {
    ...rights,
    file: 'libs/queue/store/queue.rights.ts',
    name: 'only the first queue needs rights on its keys',
    find: ': onKeysOf(keys)',
    replace: ': []',
  },
  {
    file: 'libs/queue/store/queue.rights.ts',
    specs: ['test/rights'],
    name: 'a command of a script is in no rule',
    find: "'zrangebyscore', 'zrank'",
    replace: "'zrangebyscore'",
  },
  {
    file: 'libs/redis/script/script.ts',
    specs: ['libs/queue/queue.rights.spec'],
    name: 'a script that moves tasks begins without all of its rights',
    find: 'if (rights !== undefined) head.push(refusedWithout(rights));',
    replace: '',
  },
];
