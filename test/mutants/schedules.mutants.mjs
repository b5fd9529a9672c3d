/** Faults in what publishes each instant of a schedule once. */
const scripts = ['libs/queue/store/scripts/schedules.script'];
const fire = { file: 'libs/queue/store/scripts/fire-schedules.script.ts', specs: scripts };
const declare = { file: 'libs/queue/store/scripts/declare-schedules.script.ts', specs: scripts };
const plan = { file: 'libs/queue/schedules/due-plan.ts', specs: ['libs/queue/schedules/due-plan'] };
const instants = { file: 'libs/queue/schedules/instants.ts', specs: ['libs/queue/schedules/instants'] };
const live = ['libs/queue/schedules/task-schedules'];
const decorated = ['libs/queue/decorators/task-schedule'];
const testing = {
  file: 'libs/testing/in-process/testing-schedules.ts',
  specs: ['libs/testing/in-process/testing-schedules'],
};

export default [
  { ...fire, name: 'an instant is published by each process', find: ' and s.next == next and', replace: ' and' },
  { ...fire, name: 'instants of an old spec are published', find: ' and s.fingerprint == fingerprint', replace: '' },
  { ...fire, name: 'a task is published before its time', find: ' and s.due <= now', replace: '' },
  { ...fire, name: 'a paused schedule publishes', find: 's and not s.paused and', replace: 's and' },
  { ...fire, name: 'a schedule goes back', find: 'following <= next or ', replace: '' },
  { ...fire, name: 'a frozen process publishes what is missed', find: 'now > tonumber(ARGV[at + 2]) or ', replace: '' },
  {
    ...fire,
    name: 'large payloads are published without a limit',
    find: 'if bytes >= ${BODY_BYTES} then',
    replace: 'if false then',
  },
  {
    ...fire,
    name: 'an unreadable state is looked at for ever',
    find: "then redis.call('ZREM', due, id)\n",
    replace: 'then\n',
  },
  { ...fire, name: 'the last instant is not noted', find: 's.last = math.max(s.last, instant)', replace: '' },
  {
    ...fire,
    name: 'schedules of a newer release are fired',
    find: 'if refused then return refused end',
    replace: '',
  },
  {
    ...declare,
    name: 'an equal schedule is written again',
    find: 's.fingerprint == fingerprint then',
    replace: 'false then',
  },
  {
    ...declare,
    name: 'an old process brings its spec back',
    find: 'not lives(s.by) or s.started + ${TOGETHER_MS} < started',
    replace: 'true',
  },
  {
    ...declare,
    name: 'the spec of a dead process stands for ever',
    find: 's.by == consumer or not lives(s.by) or',
    replace: 's.by == consumer or',
  },
  {
    ...declare,
    name: 'the spec of an older process stands',
    find: 'not lives(s.by) or s.started + ${TOGETHER_MS} < started',
    replace: 'not lives(s.by)',
  },
  {
    ...declare,
    name: 'the API changes what the code declares',
    find: 'return not lives(s.by) end',
    replace: 'return true end',
  },
  { ...declare, name: 'a first instant in the past is taken', find: 'if first <= now or', replace: 'if' },
  {
    ...declare,
    name: 'an instant is published again after a change',
    find: ' or first <= last then',
    replace: ' then',
  },
  {
    ...declare,
    name: 'a removed schedule forgets what it published',
    find: "tonumber(redis.call('HGET', removed, 'last')) or 0",
    replace: '0',
  },
  {
    ...declare,
    name: 'a change loses the instant that is due',
    find: 'publishInstant(id, s.next, stored)',
    replace: '',
  },
  { ...declare, name: 'a change ends a pause', find: 'paused = s and s.paused or false', replace: 'paused = false' },
  {
    ...declare,
    name: 'nobody takes over from a dead process',
    find: "if consumer ~= '-' and s.by ~= consumer and not lives(s.by) then",
    replace: 'if false then',
  },
  {
    file: 'libs/queue/store/scripts/switch-schedule.script.ts',
    specs: scripts,
    name: 'what the code declares can be removed',
    find: 'if ends and tonumber(ends) > now then return 3 end',
    replace: '',
  },
  {
    file: 'libs/queue/store/scripts/orphan-schedules.script.ts',
    specs: scripts,
    name: 'an orphan is paused at once',
    find: 'elseif pauseAfterMs >= 0 and sinceMs >= pauseAfterMs then',
    replace: 'elseif pauseAfterMs >= 0 then',
  },
  { ...plan, name: 'a late instant is missed', find: '> LATE_MS;', replace: '> 0;' },
  { ...plan, name: "'once' publishes nothing", find: 'instants: stands ? [nextMs] : instants,', replace: 'instants,' },
  {
    ...plan,
    name: "'all' never gives up",
    find: "(schedule.missed === 'all' && behind < MISSED_MOST)",
    replace: "schedule.missed === 'all'",
  },
  {
    ...plan,
    name: 'a plan has no end',
    find: 'untilMs: holds ? NEVER_MS :',
    replace: 'untilMs: holds || !holds ? NEVER_MS :',
  },
  {
    ...instants,
    name: 'several fixed times are skipped in the gap',
    find: ", fixedTimeRule: 'no-wildcard'",
    replace: '',
  },
  { ...instants, name: 'each time has the same jitter', find: '.update(`${id}@${instantMs}`)', replace: '.update(id)' },
  {
    file: 'libs/queue/worker/worker-pool.ts',
    specs: live,
    name: 'a schedule whose message is lost never begins',
    find: 'this.#schedules.told(keys.stream, dueMs);',
    replace: '',
  },
  {
    file: 'libs/queue/worker/worker-pool.ts',
    specs: live,
    name: 'a new schedule wakes nobody',
    find: 'this.#schedules.expect(stream, Number(delayMs));',
    replace: '',
  },
  {
    file: 'libs/queue/worker/loops/schedule-declarer.ts',
    specs: live,
    name: 'schedules are declared once',
    find: 'return REPEAT_LEASES * leaseMs;',
    replace: 'return 1_000 * REPEAT_LEASES * leaseMs;',
  },
  {
    file: 'libs/queue/handlers/handler-schedules.ts',
    specs: decorated,
    name: 'a payload is not checked by the schema',
    find: 'if (schema === undefined) return;',
    replace: 'return;',
  },
  {
    file: 'libs/queue/handlers/handler-schedules.ts',
    specs: decorated,
    name: 'a schedule without a handler is ignored',
    find: 'if (queues.length === 1 && own[0]?.isWhole === false) continue;',
    replace: 'continue;',
  },
  {
    file: 'libs/queue/handlers/handler-schedules.ts',
    specs: decorated,
    name: 'one of two schedules with one id is lost',
    find: 'if (other === undefined) continue;',
    replace: 'continue;',
  },
  {
    file: 'libs/queue/worker/loops/schedule-declarer.ts',
    specs: decorated,
    name: 'several groups go unnoticed',
    find: 'if (groups < 2 || this.#isWarned) return;',
    replace: 'return;',
  },
  {
    ...testing,
    name: 'a test resumes without what was missed',
    find: 'if (!paused) this.#fire(known);',
    replace: 'if (!paused) this.#wait(known);',
  },
  {
    ...testing,
    name: 'a changed schedule of a test goes on beside the new one',
    find: '    known?.cancel();\n    const { lastMs',
    replace: '    const { lastMs',
  },
  {
    ...fire,
    name: 'a user without HSET publishes an instant again and again',
    find: "rights: ['XADD', 'ZADD', 'ZREM', 'HSET']",
    replace: "rights: ['XADD', 'ZADD', 'ZREM']",
  },
  {
    ...fire,
    name: 'a user without ZADD publishes an instant again and again',
    find: "rights: ['XADD', 'ZADD', 'ZREM', 'HSET']",
    replace: "rights: ['XADD', 'ZREM', 'HSET']",
  },
];
