/** Faults in how connections leave a server that hangs or was replaced, and in the proof that messages arrive. */
const handshake = {
  file: 'libs/redis/connection/handshake-guard.ts',
  specs: ['libs/redis/connection/handshake-guard'],
};
const lookup = { specs: ['libs/redis/connection/sentinel-lookup'] };
const retry = { ...lookup, file: 'libs/redis/connection/lookup-retry.ts' };
const proof = { file: 'libs/redis/inbox/inbox-proof.ts', specs: ['libs/redis/inbox/inbox-proof'] };
const inbox = { file: 'libs/redis/inbox/inbox.ts', specs: ['libs/redis/inbox/inbox'] };
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
  {
    ...lookup,
    file: 'libs/redis/connection/sentinel-lookup.ts',
    name: 'a Sentinel that is late to tell of a switch resets the sockets again',
    find: 'return address.host !== this.#found?.host || address.port !== this.#found?.port;',
    replace: 'return address !== null;',
  },
  {
    ...lookup,
    file: 'libs/redis/connection/sentinel-lookup.ts',
    name: 'a switch of another group resets the sockets',
    find: 'if (name !== this.options.name) return false;',
    replace: '',
  },
  {
    ...lookup,
    file: 'libs/redis/connection/sentinel-lookup.ts',
    name: 'the map of addresses does not hold for a switch that is told',
    find: 'natResolve?.call(this, told) ?? told',
    replace: 'told',
  },
  {
    ...lookup,
    file: 'libs/redis/connection/sentinel-lookup.ts',
    name: 'Sentinels that are slow are cut off again and again',
    find: "if (type === 'error') this.#rounds++;",
    replace: '',
  },
  {
    ...inbox,
    name: 'a subscription alone counts as a proof',
    specs: ['libs/redis/inbox/inbox-proof', 'libs/cache/local/proof'],
    find: '    this.#resync();\n  }\n\n  /** One proof.',
    replace:
      '    this.#resync();\n    this.#proven = { monoMs: this.#options.clock.monoMs(), wallMs: this.#options.clock.wallMs() };\n  }\n\n  /** One proof.',
  },
  {
    ...inbox,
    name: 'messages that do not arrive are not missed',
    find: "} else if (outcome !== 'unsent' && this.#subscribed) {",
    replace: "} else if (outcome === 'unanswered' && this.#subscribed) {",
  },
  {
    ...inbox,
    name: 'a Redis that does not answer keeps its subscriber',
    find: "} else if (outcome !== 'unsent' && this.#subscribed) {",
    replace: "} else if (outcome === 'unheard' && this.#subscribed) {",
  },
  {
    ...inbox,
    name: 'features do not ask again when messages do not arrive',
    find: '      this.#resync();\n      this.#link.reset();',
    replace: '      this.#link.reset();',
  },
  {
    ...inbox,
    name: 'the counter is told whether or not it is needed',
    find: 'this.#need?.isNeeded() === true ? this.#need : undefined',
    replace: 'this.#need',
  },
  {
    ...proof,
    name: 'the message of an earlier proof counts',
    find: ' || number !== String(this.#number)',
    replace: '',
  },
  {
    ...proof,
    name: 'a process that was blocked finds its proofs late',
    find: 'setImmediate(look, left - 1);',
    replace: 'look(this.#options.clock.monoMs() > 30_000 ? 0 : left - 1);',
  },
  {
    ...proof,
    name: 'messages that are slow to arrive are given up again and again',
    find: 'ARRIVAL_MS.first * 2 ** this.#failures',
    replace: 'ARRIVAL_MS.first',
  },
  {
    ...proof,
    name: 'commands at the wrong server stay there',
    file: 'libs/redis/connection/connection.ts',
    find: 'if (times === 2 || times === 4) this.#leave();',
    replace: '',
  },
  {
    ...proof,
    name: 'a refusal to publish counts as a dead subscriber',
    find: "error.refusal === undefined && this.#options.commands.up ? 'unanswered' : 'unsent'",
    replace: "'unanswered'",
  },
  {
    name: 'an announcement that was lost is not missed at a proof',
    file: 'libs/cache/local/local-tier.ts',
    specs: ['libs/cache/local/local-tier'],
    find: 'if (this.#number !== undefined && this.#number !== number) this.clear();',
    replace: '',
  },
  {
    name: 'proofs are sent often though no copy is fresh',
    file: 'libs/cache/local/local-tier.ts',
    specs: ['libs/cache/local/local-tier'],
    find: ' && this.#clock.monoMs() < this.#freshUntilMs',
    replace: '',
  },
];
