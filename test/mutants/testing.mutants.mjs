/** Faults in the fixtures that everything else is proven by. */
const history = { file: 'test/support/history.ts', specs: ['test/support/history'] };
const forkApp = { file: 'test/support/fork-app.ts', specs: ['test/support/fork-app'] };
const appHost = { file: 'test/support/app-host.ts', specs: ['test/support/fork-app'] };
const guard = { file: 'libs/testing/servers/guarded-process.ts', specs: ['libs/testing/servers/redis-server'] };
const redis = { file: 'libs/testing/servers/redis-server.ts', specs: ['libs/testing/servers/redis-server'] };
const slots = { file: 'libs/testing/servers/slot-owner.ts', specs: ['libs/testing/servers/slot-owner'] };
const sentinels = { file: 'libs/testing/servers/sentinel-group.ts', specs: ['libs/testing/servers/sentinel-group'] };
const cluster = { file: 'libs/testing/servers/redis-cluster.ts', specs: ['libs/testing/servers/redis-cluster'] };
const authority = {
  file: 'libs/testing/servers/certificate-authority.ts',
  specs: ['libs/testing/servers/certificate-authority'],
};
const proxy = { file: 'libs/testing/faults/fault-proxy.ts', specs: ['libs/testing/faults'] };
const passage = { file: 'libs/testing/faults/passage.ts', specs: ['libs/testing/faults'] };
const chaos = { file: 'test/support/chaos.ts', specs: ['test/support/chaos'] };

export default [
  {
    ...proxy,
    name: 'a reset comes before the command',
    find: 'client.unpipe(asked).pause();\n      asked.end();',
    replace: 'server.destroy();',
  },
  {
    ...proxy,
    name: 'the answer arrives before the reset',
    find: 'answers.deaf = true;\n    answers.unpipe(client);',
    replace: '',
  },
  { ...proxy, name: 'new connections are not delayed', find: 'passage.latencyMs = this.#latencyMs;', replace: '' },
  { ...passage, name: 'a shorter delay overtakes', find: ' && this.#queue.length === 0) {', replace: ') {' },
  { ...passage, name: 'bytes arrive together', find: 'this.bytewise ? Array.from', replace: 'false ? Array.from' },
  {
    ...authority,
    name: 'any server may issue certificates',
    find: 'boolean(true)), true)',
    replace: 'boolean(false)), true)',
  },
  {
    ...authority,
    name: 'a certificate is for names alone',
    find: 'isIP(name) === 0 ?',
    replace: 'true ?',
  },
  {
    ...sentinels,
    name: 'an isolated server is still seen',
    find: "default: 'off'",
    replace: "default: 'on nopass ~* &* +@all'",
  },
  {
    ...sentinels,
    name: 'the primary that failed counts as its successor',
    find: '!first || first === old ||',
    replace: '!first ||',
  },
  { ...cluster, name: 'a replica is nobody of a shard', find: '{ id, of = id }', replace: '{ id }' },
  {
    ...redis,
    name: 'a failed member of a group leaves the others running',
    file: 'libs/testing/servers/redis-servers.ts',
    find: 'await stopAll(servers);',
    replace: '',
    specs: ['libs/testing/servers/redis-servers'],
  },
  {
    ...slots,
    name: 'a restarted server can be reached before it has its slots',
    find: "`, '0',",
    replace: '`, String(this.#port),',
  },
  {
    ...slots,
    name: 'the absent master stays known',
    find: "await client.cluster('FORGET', this.#absent);",
    replace: '',
  },
  {
    ...slots,
    name: 'a new master refuses keys for two seconds',
    find: 'myself,slave ${this.#absent}',
    replace: 'myself,master -',
  },
  {
    file: 'libs/testing/servers/redis-server.options.ts',
    specs: ['libs/testing/servers/slot-owner'],
    name: 'a whole suite cannot be run on servers that check slots',
    find: "slotChecks ?? topology() === 'slots'",
    replace: 'slotChecks ?? false',
  },
  { ...history, name: 'overlaps are not seen', find: 'second.from < open.to', replace: 'second.from < open.from' },
  { ...history, name: 'only neighbours are compared', find: '!open || second.to > open.to', replace: 'true' },
  {
    ...history,
    name: 'touching intervals overlap',
    find: 'open && second.from < open.to',
    replace: 'open && second.from <= open.to',
  },
  { ...history, name: 'a token may come twice', find: 'token <= highest.token', replace: 'token < highest.token' },
  { ...history, name: 'tokens fall back after a regression', find: 'else highestToken', replace: 'highestToken' },
  {
    ...history,
    name: 'what a killed process held counts for nothing',
    find: ': { ...interval, to: last }',
    replace: ': interval',
  },
  { ...history, name: 'one log is written by two', find: "'ax'", replace: "'a'" },
  {
    ...guard,
    name: 'nobody watches the parent',
    find: 'kill -KILL $program; rm',
    replace: 'rm',
  },
  { ...guard, name: 'a Ctrl-C goes to the watcher too', find: 'detached: true', replace: 'detached: false' },
  {
    ...guard,
    name: 'a frozen program cannot be ended',
    find: "if (signal !== 'SIGKILL') send('SIGCONT');",
    replace: '',
  },
  { ...guard, name: 'the parent cannot exit', find: 'shell.unref();', replace: '' },
  {
    ...redis,
    name: 'files are left behind',
    find: 'rmSync(this.#running.dir, {',
    replace: 'rmSync(`${this.#running.dir}/nothing`, {',
  },
  { ...redis, name: 'a taken port is final', find: 'attempt === PORT_ATTEMPTS', replace: 'true' },
  {
    ...forkApp,
    name: 'calls of a dead app hang',
    find: 'for (const call of this.#calls.values()) call.reject(this.#goneError(this.#ended));',
    replace: '',
  },
  {
    ...forkApp,
    name: 'a leak is not reported',
    find: 'if (this.#child.exitCode !== 0) throw',
    replace: 'if (this.#child.exitCode === 99) throw',
  },
  { ...appHost, name: 'an app outlives its parent', find: 'if (!stopping) process.exit(1);', replace: '' },
  { ...appHost, name: 'codes of errors are lost', find: "typeof code === 'string' ? { code } : {}", replace: '{}' },
  {
    ...authority,
    name: 'an expired certificate is valid',
    find: '(expired ? -HOUR_MS : YEAR_MS)',
    replace: 'YEAR_MS',
  },
  {
    ...chaos,
    name: 'a scenario pays for the time that others took too much',
    find: 'Math.max(wholeMs / parts, leftMs / (parts - before))',
    replace: 'Math.max(0, leftMs) / (parts - before)',
  },
  { ...chaos, name: 'a scenario without time injects no fault', find: 'done === 0 || (', replace: '(' },
  { ...chaos, name: 'a planted violation may go unseen', find: 'ok: found.length > 0', replace: 'ok: true' },
  {
    ...chaos,
    name: 'nothing has to be planted',
    find: "verdict.kind === 'planted')) {",
    replace: "verdict.kind !== 'planted')) {",
  },
  {
    ...chaos,
    name: 'a scenario without a verdict passes',
    find: 'verdicts.length > 0 ? verdicts',
    replace: 'verdicts.length >= 0 ? verdicts',
  },
  {
    name: 'without Redis, a renewal does not look at what was invalidated',
    file: 'libs/testing/in-process/in-process-cache.store.ts',
    specs: ['libs/testing/sluice-testing.module.spec'],
    find: 'const current = this.#current(lease.since, lease.tags);',
    replace: 'const current = true;',
  },
  {
    file: 'libs/testing/in-process/testing-clock.ts',
    name: 'timers fire when all of the time has passed',
    find: 'Math.max(0, next.atMs - this.monoMs())',
    replace: 'Math.max(0, untilMs - this.monoMs())',
    specs: ['libs/testing/in-process/testing-clock'],
  },
  {
    file: 'libs/testing/in-process/testing-clock.ts',
    name: 'timers fire in the order in which they were set',
    find: '(first === undefined || timer.atMs < first.atMs)',
    replace: 'first === undefined',
    specs: ['libs/testing/in-process/testing-clock'],
  },
  {
    file: 'libs/testing/in-process/testing-clock.ts',
    name: 'what a timer settles happens after all others',
    find: '      await turn(); // the promises that the timer has settled',
    replace: '',
    specs: ['libs/testing/in-process/testing-clock'],
  },
  {
    file: 'libs/testing/in-process/testing-clock.ts',
    name: 'a call that is on its way hears nothing of the time',
    find: '    await turn(); // calls that are on their way set their timers',
    replace: '',
    specs: ['libs/testing/in-process/testing-clock'],
  },
  {
    file: 'libs/testing/in-process/testing-clock.ts',
    name: 'a cancelled timer fires',
    find: '      timer.cancelReal();\n      this.#timers.delete(timer);',
    replace: '      timer.cancelReal();',
    specs: ['libs/testing/in-process/testing-clock'],
  },
  {
    file: 'libs/testing/override-without-redis.ts',
    name: 'the app that is tested loses its namespace and options',
    find: 'inProcessCache(connections, options),',
    replace: 'inProcessCache(connections, undefined),',
    specs: ['libs/testing/override'],
  },
  {
    file: 'libs/testing/override-without-redis.ts',
    name: 'the queue of an overridden app cannot be asked for',
    find: '    if (module.providers.has(token)) module.addProvider',
    replace: '    if (token === Class.name) module.addProvider',
    specs: ['libs/testing/override'],
  },
  {
    file: 'libs/testing/override-without-redis.ts',
    name: 'workers are started without a Redis',
    find: '.overrideProvider(QueueConsumers)',
    replace: '.overrideProvider(`no ${QueueConsumers.name}`)',
    specs: ['libs/testing/override'],
  },
  {
    file: 'libs/testing/in-process/testing-tasks.ts',
    name: 'a task that runs does not hold its key',
    find: '    this.#running.set(task, controller);\n',
    replace: '',
    specs: ['libs/queue/queue.conformance'],
  },
];
