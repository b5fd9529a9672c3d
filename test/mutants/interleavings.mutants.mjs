/** One fault for each order of events: played by real processes, it must be seen. */
const specs = ['test/e2e/interleavings.spec'];

export default [
  {
    name: 'A: whoever asks loads',
    file: 'libs/cache/scripts/ask.script.ts',
    specs,
    find: 'if held[1] and held[1] ~= token then',
    replace: 'if false then',
  },
  {
    name: 'B: leases are not renewed',
    file: 'libs/cache/lease.ts',
    specs,
    find: 'timing.leaseMs / 3',
    replace: 'timing.leaseMs * 30',
  },
  {
    name: 'C: nobody takes over from the dead',
    file: 'libs/cache/flight.ts',
    specs,
    find: 'answer.remainingMs + 1 +',
    replace: 'answer.remainingMs + 600_000 +',
  },
  {
    name: 'D, E: a fill needs no lease of its own',
    file: 'libs/cache/scripts/fill.script.ts',
    specs,
    find: 'if held[1] ~= token then return 0 end',
    replace: "if held[1] ~= token then held = { token, redis.call('GET', epoch), '', '' } end",
  },
  {
    name: 'G: an answer that an invalidation overtook is kept',
    file: 'libs/cache/local-tier.ts',
    specs,
    find: 'if (watch.voided || watch.era',
    replace: 'if (watch.era',
  },
  {
    name: 'H: a load whose tag was invalidated stores',
    file: 'libs/cache/scripts/fill.script.ts',
    specs,
    find: 'if not current(held[2], held[3]) or',
    replace: 'if',
  },
  {
    name: 'I: a silent socket is taken for healthy',
    file: 'libs/cache/local-tier.ts',
    specs,
    find: 'if (monoMs - proven.monoMs >= BOUND_MS || wallMs - proven.wallMs >= BOUND_MS) return undefined;',
    replace: '',
  },
];
