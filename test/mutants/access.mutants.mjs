/** Faults in what a boot asks of a server: its role and its database. */
const role = { file: 'libs/redis/access/await-primary.ts', specs: ['libs/redis/access/await-primary'] };
const database = { file: 'libs/redis/access/database-check.ts', specs: ['libs/redis/access/database-check'] };
const connection = 'libs/redis/connection/connection.ts';

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
    file: connection,
    name: 'a replica is fit unless the connection is strict',
    find: 'if (role !== undefined && required) throw',
    replace: 'if (role !== undefined && required && this.#config.strict) throw',
  },
  {
    ...database,
    name: 'data stands in database 0 where SELECT is refused',
    find: "if (!isReplyError(error, '')) return undefined;",
    replace: 'return undefined;',
  },
  {
    ...database,
    file: connection,
    name: 'a server that refuses the database takes commands where the boot does not wait',
    find: 'throw (this.#useless = new SluiceError(code, told(useless)));',
    replace: 'throw new SluiceError(code, told(useless));',
  },
];
