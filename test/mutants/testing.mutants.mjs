/** Faults in the fixtures that everything else is proven by. */
const history = { file: 'test/support/history.ts', specs: ['test/support/history'] };
const forkApp = { file: 'test/support/fork-app.ts', specs: ['test/support/fork-app'] };
const appHost = { file: 'test/support/app-host.ts', specs: ['test/support/fork-app'] };
const guard = { file: 'libs/testing/servers/guarded-process.ts', specs: ['libs/testing/servers/redis-server'] };
const redis = { file: 'libs/testing/servers/redis-server.ts', specs: ['libs/testing/servers/redis-server'] };
const chaos = { file: 'test/support/chaos.ts', specs: ['test/support/chaos'] };

export default [
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
    find: 'rmSync(this.#dir, {',
    replace: 'rmSync(`${this.#dir}/nothing`, {',
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
];
