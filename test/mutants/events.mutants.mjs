/** Faults in the events and the progress of tasks: messages to nobody, without end or bound, and losses of which nobody learns. */
const scripts = 'libs/queue/store/scripts/observe.script.spec';
const whole = 'libs/queue/events/events.spec';
const observe = { file: 'libs/queue/store/scripts/observe.script.ts', specs: [scripts] };
const report = { file: 'libs/queue/store/scripts/report-progress.script.ts', specs: [scripts] };
const sender = { file: 'libs/queue/events/event-sender.ts', specs: ['libs/queue/events/event-sender.spec'] };
const reporter = {
  file: 'libs/queue/events/progress-reporter.ts',
  specs: ['libs/queue/events/progress-reporter.spec'],
};

export default [
  {
    ...observe,
    name: 'a listener that is killed is told events for ever',
    find: ", 'PX', string.format('%.0f', ttlMs))",
    replace: ')',
  },
  {
    ...observe,
    name: 'each repetition is told to all processes',
    find: 'if had == 1 then return 0 end',
    replace: '',
  },
  {
    ...observe,
    name: 'dead processes are told that somebody listens',
    find: "'(' .. string.format('%.0f', now)",
    replace: "'-inf'",
  },
  {
    ...report,
    name: 'a progress is kept for ever',
    find: ", 'PX', ${PROGRESS_KEPT_MS})",
    replace: ')',
  },
  {
    ...report,
    name: 'each publisher that waits is told the progress of the first task',
    find: 'unpack(ARGV, rest + 3 * i - 5, rest + 3 * i - 3)',
    replace: 'unpack(ARGV, rest + 1, rest + 3)',
  },
  {
    name: 'a renewal does not tell that somebody listens',
    file: 'libs/queue/store/scripts/renew-all.script.ts',
    find: "redis.call('EXISTS', observed) * ${OBSERVED}",
    replace: '0 * ${OBSERVED}',
    specs: ['libs/queue/store/scripts/renew-all.script.spec'],
  },
  {
    ...sender,
    name: 'events are sent although nobody listens',
    find: 'if (!this.isOn) return;\n    // What comes',
    replace: '// What comes',
  },
  {
    ...sender,
    name: 'each event is a message of its own',
    find: 'Math.max(0, this.#sentMs + EVERY_MS - clock.monoMs())',
    replace: '0',
  },
  {
    ...sender,
    name: 'any number of events waits in memory',
    find: 'if (this.#waiting.length >= MOST) {',
    replace: 'if (this.#waiting.length < 0) {',
  },
  {
    ...sender,
    name: 'events that could not be sent are forgotten',
    find: 'this.#missed += missed + events.length;',
    replace: '',
  },
  {
    ...sender,
    name: 'events that were not noted during an outage are forgotten',
    find: 'if (was && !this.isOn) this.#missed++;',
    replace: '',
  },
  {
    ...sender,
    name: 'a new listener is told of gaps before its time',
    find: 'if (!this.isOn) this.#missed = 0;',
    replace: '',
  },
  {
    ...sender,
    name: 'a progress stands before what was told before it',
    find: 'this.#progress.delete(event.id);',
    replace: '',
  },
  {
    ...sender,
    name: 'a progress takes the place of an event of a message that was sent',
    find: 'this.#progress.clear();',
    replace: '',
  },
  {
    ...sender,
    name: 'a message has any size',
    find: 'bytes + more > INBOX_MAX_BYTES',
    replace: 'bytes < 0',
  },
  {
    ...reporter,
    name: 'each report is sent',
    find: 'Math.max(0, this.#sentMs + EVERY_MS - clock.monoMs())',
    replace: '0',
  },
  {
    ...reporter,
    name: 'a publisher that waits does not get the last progress',
    find: 'if (delivery.mayBeAwaited) void',
    replace: 'if (delivery.id === "") void',
  },
  {
    ...reporter,
    name: 'the progress of a task that is done is kept for a day',
    find: "if (keys.length > 0) this.#options.link.send('unlink', keys).catch(() => undefined);",
    replace: '',
  },
  {
    ...reporter,
    name: 'a retry has lost the progress of the run before',
    find: ' && delivery.isDone)',
    replace: ')',
  },
  {
    ...reporter,
    name: 'the log has a line for each report',
    find: 'if (clock.monoMs() - this.#loggedMs < LOG_EVERY_MS) return;',
    replace: '',
  },
  {
    name: 'a run that has ended goes on to report',
    file: 'libs/queue/events/worker-events.ts',
    find: 'delivery.sink = undefined;',
    replace: '',
    specs: ['libs/queue/events/progress.spec'],
  },
  {
    name: 'a gap is not told',
    file: 'libs/queue/events/event-listeners.ts',
    find: 'if (watched.isTold) tell(',
    replace: 'if (watched.channel === "") tell(',
    specs: [whole],
  },
  {
    name: 'a listener without rights waits for ever',
    file: 'libs/queue/events/event-listeners.ts',
    find: "error.refusal !== 'NOPERM') return false;",
    replace: "error.refusal !== 'OOM') return false;",
    specs: [whole],
  },
  {
    name: 'a subscription without listeners stays',
    file: 'libs/redis/inbox/inbox.ts',
    find: 'if (this.#listened.delete(channel) && this.#link.up)',
    replace: 'if (this.#listened.delete(channel) && !this.#link.up)',
    specs: [whole],
  },
  {
    name: 'after a reconnect nothing is heard of a channel that is listened to',
    file: 'libs/redis/inbox/inbox.ts',
    find: 'const channels = [this.channel, ...this.#joined, ...this.#listened];',
    replace: 'const channels = [this.channel, ...this.#joined];',
    specs: ['libs/redis/inbox/inbox.spec'],
  },
  {
    file: 'libs/queue/results/wait.options.ts',
    specs: ['libs/queue/events/progress.spec'],
    name: 'an onProgress that rejects ends the process',
    find: 'await call?.(value);',
    replace: 'call?.(value);',
  },
];
