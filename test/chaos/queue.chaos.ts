import { defineChaos } from '../support/chaos.js';
import { due } from './queue/due.js';
import { fire } from './queue/fire.js';
import { keys } from './queue/keys.js';
import { model } from './queue/model.js';
import { ordered } from './queue/ordered.js';
import { outage } from './queue/outage.js';
import { recovery } from './queue/recovery.js';
import { schedules } from './queue/schedules.js';
import { soak } from './queue/soak.js';

export default defineChaos({
  feature: 'queue',
  scenarios: {
    fire: {
      about: 'workers and producers are killed and frozen, connections cut, Redis paused and killed, under load',
      run: fire,
    },
    recovery: { about: 'processes are killed with a task in hand, at the defaults', run: recovery },
    outage: { about: 'Redis is paused for three leases, under load', run: outage },
    due: { about: '100,000 delayed tasks are due in the same moment', run: due },
    schedules: {
      about: 'processes with different wall clocks are killed while a thousand schedules are due each second',
      run: schedules,
    },
    keys: {
      about:
        'publishers and workers are killed, and connections cut, while four processes publish under one key of each mode',
      run: keys,
    },
    ordered: { about: 'a thousand keys in order, while processes are killed, stopped and added', run: ordered },
    soak: { about: 'a million tasks through one process', run: soak },
    model: { about: 'random steps against the real scripts, as a model of the queue', run: model },
  },
});
