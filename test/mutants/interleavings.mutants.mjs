/** A fault for each order of events but F: played by real processes, it must be seen. */
const specs = ['test/e2e/interleavings.spec'];

export default [
  {
    name: 'A: whoever asks loads',
    file: 'libs/cache/store/scripts/ask.script.ts',
    specs,
    find: 'if held[1] and held[1] ~= token then',
    replace: 'if false then',
  },
  {
    name: 'B: leases are not renewed',
    file: 'libs/cache/loading/lease-renewal.ts',
    specs,
    find: 'timing.leaseMs / 3',
    replace: 'timing.leaseMs * 30',
  },
  {
    name: 'C: nobody takes over from the dead',
    file: 'libs/cache/loading/flight.ts',
    specs,
    find: 'step.forMs + random()',
    replace: '600_000 + random()',
  },
  {
    name: 'E: a fill needs no lease of its own',
    file: 'libs/cache/store/scripts/fill.script.ts',
    specs,
    find: 'if held[1] ~= token then return 0 end',
    replace: "if held[1] ~= token then held = { token, redis.call('GET', epoch), '', '' } end",
  },
  {
    name: 'D: a delete leaves a load its lease',
    file: 'libs/cache/store/scripts/delete.script.ts',
    specs,
    find: "endLease(lease, 'again', '', true)",
    replace: '',
  },
  {
    name: 'G: an answer that an invalidation overtook is kept',
    file: 'libs/cache/local/local-tier.ts',
    specs,
    find: 'if (watch.voided || watch.era',
    replace: 'if (watch.era',
  },
  {
    name: 'H: the epochs of tags are not compared',
    file: 'libs/cache/store/scripts/epoch.fragment.ts',
    specs,
    find: "if redis.call('GET', tagPrefix .. tag) ~= of then return false end",
    replace: 'if not tagPrefix then return false end',
  },
  {
    name: 'I: a silent socket is taken for healthy',
    file: 'libs/cache/local/local-tier.ts',
    specs,
    find: 'if (monoMs - proven.monoMs >= BOUND_MS || wallMs - proven.wallMs >= BOUND_MS) return undefined;',
    replace: '',
  },
];
