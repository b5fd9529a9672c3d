import { defineBench } from './bench.js';
import { taskMemoryCurve } from './memory.curves.js';
import { QUEUE_OPTIONS } from './peers/queues.js';
import { bytes, commands } from './queue.costs.js';
import { payloadCurve, processesCurve } from './queue.curves.js';
import { idleCommands, idleCpu } from './queue.idle.js';
import { inspectAbsent } from './queue.inspect.js';
import { keyed } from './queue.keyed.js';
import { lateness } from './queue.lateness.js';
import { batches, consume, publish } from './queue.rates.js';
import { recovery } from './queue.recovery.js';

export default defineBench({
  feature: 'queue',
  peers: QUEUE_OPTIONS,
  curves: [processesCurve, payloadCurve, taskMemoryCurve],
  rows: [
    {
      figures: [
        {
          name: 'queue.publish',
          unit: 'tasks/s',
          better: 'higher',
          target: '≥ 0.85 × raw',
          met: ({ sluice, raw }) => sluice >= 0.85 * (raw ?? Infinity),
        },
      ],
      measure: publish,
    },
    {
      figures: [
        {
          name: 'queue.consume',
          unit: 'tasks/s',
          better: 'higher',
          target: '≥ 0.7 × raw and ≥ 5 × BullMQ',
          met: ({ sluice, raw, peers }) =>
            sluice >= 0.7 * (raw ?? Infinity) && sluice >= 5 * (peers['bullmq'] ?? Infinity),
        },
      ],
      measure: consume,
    },
    {
      figures: [
        {
          name: 'queue.batch',
          unit: 'tasks/s in batches of 100, beside single tasks (raw)',
          better: 'higher',
          target: '≥ 1.2 × single',
          met: ({ sluice, raw }) => sluice >= 1.2 * (raw ?? Infinity),
        },
      ],
      measure: batches,
    },
    {
      figures: [
        {
          name: 'queue.keyed',
          unit: 'tasks/s in the order of 1,000 keys, beside tasks without keys (raw)',
          better: 'higher',
          target: '≥ 0.4 × unordered and ≥ 1.5 × groupmq',
          met: ({ sluice, raw, peers }) =>
            sluice >= 0.4 * (raw ?? Infinity) && sluice >= 1.5 * (peers['groupmq'] ?? Infinity),
        },
      ],
      measure: keyed,
    },
    {
      figures: [
        {
          name: 'queue.commandsPerTask',
          unit: 'calls, inner ones included',
          better: 'lower',
          target: '≤ 4.5',
          met: ({ sluice }) => sluice <= 4.5,
        },
        {
          name: 'queue.clientCommandsPerTask',
          unit: 'calls sent by the client',
          better: 'lower',
          target: '≤ 1.1',
          met: ({ sluice }) => sluice <= 1.1,
        },
      ],
      rounds: 3,
      measure: commands,
    },
    {
      figures: [
        {
          name: 'queue.bytesPerTask',
          unit: 'bytes',
          better: 'lower',
          target: '≤ 80',
          met: ({ sluice }) => sluice <= 80,
        },
      ],
      rounds: 3,
      measure: bytes,
    },
    {
      figures: [
        {
          name: 'queue.latenessP99',
          unit: 'ms',
          better: 'lower',
          target: '≤ 10 ms over a control timer',
          met: ({ sluice, raw }) => sluice <= 10 + (raw ?? 0),
        },
      ],
      // One stall of the machine within a round is its 99th percentile.
      rounds: 9,
      measure: lateness,
    },
    {
      figures: [
        {
          name: 'queue.recovery',
          unit: 's',
          better: 'lower',
          target: '≤ 7',
          met: ({ sluice }) => sluice <= 7,
        },
      ],
      rounds: 3,
      warmUp: false,
      measure: recovery,
    },
    {
      figures: [
        {
          name: 'queue.inspectAbsent',
          unit: 'polls/s of a task that is done, 100,000 dead letters',
          better: 'higher',
          target: '≥ 0.3 × raw (a look at one entry)',
          met: ({ sluice, raw }) => sluice >= 0.3 * (raw ?? Infinity),
        },
      ],
      rounds: 3,
      measure: inspectAbsent,
    },
    {
      figures: [
        {
          name: 'queue.idleCommands',
          unit: 'commands per minute that an idle process sends, 1 handler',
          better: 'lower',
          target: '≤ 120',
          met: ({ sluice }) => sluice <= 120,
        },
        {
          name: 'queue.idleCommands100',
          unit: 'the same, 100 handlers',
          better: 'lower',
          target: '≤ 160',
          met: ({ sluice }) => sluice <= 160,
        },
      ],
      // Commands come at fixed intervals, whatever else the machine does.
      rounds: 1,
      warmUp: false,
      measure: idleCommands,
    },
    {
      figures: [
        {
          name: 'queue.idleCpu',
          unit: '% of a core, idle process with 1,000 handlers',
          better: 'lower',
          target: '≤ 1',
          met: ({ sluice }) => sluice <= 1,
        },
        {
          name: 'queue.idleServerCpu',
          unit: '% of a core, its server',
          better: 'lower',
          target: '≤ 0.5',
          met: ({ sluice }) => sluice <= 0.5,
        },
      ],
      rounds: 1,
      warmUp: false,
      measure: idleCpu,
    },
  ],
});
