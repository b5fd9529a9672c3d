/** Faults in how connections leave a server that hangs or was replaced, and in the proof that messages arrive. */
const handshake = {
  file: 'libs/redis/connection/handshake-guard.ts',
  specs: ['libs/redis/connection/handshake-guard'],
};
const lookup = { specs: ['libs/redis/connection/sentinel-lookup'] };
const retry = { ...lookup, file: 'libs/redis/connection/lookup-retry.ts' };
const options = { ...lookup, file: 'libs/redis/connection/client-options.ts' };

export default [
  {
    ...handshake,
    name: 'a handshake may hang for ever',
    find: "client.on('connect', this.#onConnect)",
    replace: 'client',
  },
  {
    ...handshake,
    name: 'a slow server is cut off again and again',
    find: 'givenUp: () => this.#givenUp++,',
    replace: 'givenUp: () => {},',
  },
  {
    ...handshake,
    name: 'a server that was slow once may hang for long',
    find: 'this.#givenUp = 0;\n    this.#guard.stop();',
    replace: 'this.#guard.stop();',
  },
  {
    ...handshake,
    name: 'a server that loads its data is left',
    file: 'libs/redis/connection/client-options.ts',
    find: '  maxLoadingRetryTime: 500,\n',
    replace: '',
  },
  {
    ...retry,
    name: 'a client that ioredis ended during a lookup stays dead',
    find: 'if (!this.#looking) return;',
    replace: 'return;',
  },
  {
    ...options,
    name: 'a Sentinel that hangs is waited for',
    find: 'sentinelCommandTimeout: sentinelCommandTimeout ?? SENTINEL_ANSWER_MS,',
    replace: '',
  },
  {
    ...options,
    name: 'nobody listens for a switch of the primary',
    find: 'failoverDetector ?? true',
    replace: 'failoverDetector ?? false',
  },
  {
    ...options,
    name: 'the timeouts that the user has set do not count',
    find: 'connectTimeout ?? CONNECT_MS.sentinel',
    replace: 'CONNECT_MS.sentinel',
  },
  {
    ...lookup,
    file: 'libs/redis/connection/sentinel-lookup.ts',
    name: 'a Sentinel that hangs fills the console',
    find: "return client.on('error', (error) => {",
    replace: "return client.on('error ', (error) => {",
  },
];
