/** Where a key is loaded more often than once. */
import { setTimeout as pause } from 'node:timers/promises';
import { until } from '../until.js';
import { count, type Finding, type Scenario } from './scenario.js';
import type { Member, Stage } from './stage.js';

const CALLERS = 10;

export const lateMiss: Scenario = {
  letter: 'A',
  title: 'A late miss',
  order:
    'A process asks Redis for a key that is not stored. Before the answer arrives, a second process asks too, and loads and stores the value if the cache lets it. Then the answer arrives.',
  right: 'One load; both processes get its value.',
  needs: 'one load for all processes',
  processes: 2,
  async play(stage) {
    const [slow, quick] = stage.members as [Member, Member];
    slow.link.hold();
    const late = slow.ask('k');
    await until(() => slow.link.held !== '', { what: 'Redis has answered', everyMs: 2 });
    const early = quick.ask('k');
    // A cache in which the question was a claim has `quick` wait for it.
    if (await stage.begins(1)) await early;
    slow.link.release();
    const got = await Promise.all([late, early]);
    return verdict(
      stage,
      1,
      got.every((value) => value === stage.says),
    );
  },
};

export const longLoad: Scenario = {
  letter: 'B',
  title: 'A load outlives every limit',
  order:
    'A process loads for longer than the default lease and the default wait; meanwhile two others ask for the key.',
  right: 'One load; all processes get its value.',
  needs: 'one load for all processes',
  processes: 3,
  async play(stage) {
    stage.source = 'held';
    const [loading, ...others] = stage.members as [Member, ...Member[]];
    const calls = [loading.ask('k')];
    await stage.load();
    calls.push(...others.map((member) => member.ask('k')));
    await pause(stage.patience.holdMs);
    stage.source = 'open';
    await Promise.all(stage.loads.map((load) => load.answer()));
    const got = await Promise.all(calls);
    return verdict(
      stage,
      1,
      got.every((value) => value === stage.says),
    );
  },
};

export const deadLoader: Scenario = {
  letter: 'C',
  title: "The loader's process dies",
  order: 'A process loads, and callers in two others wait for it. The loading process is killed (SIGKILL).',
  right: 'One of the others takes over: two loads in all; every caller gets the value.',
  needs: 'one load for all processes',
  processes: 3,
  spoils: true,
  async play(stage) {
    stage.source = 'held';
    const [loading, ...others] = stage.members as [Member, ...Member[]];
    const died = loading.ask('k').catch(() => 'died');
    await stage.load();
    const calls = others.map((member) => member.askOften('k', CALLERS));
    await stage.begins(2);
    stage.source = 'open';
    await loading.app.kill();
    await Promise.all(stage.loads.map((load) => load.answer()));
    await died;
    const got = (await Promise.all(calls)).flat();
    return verdict(
      stage,
      2,
      got.every((outcome) => 'value' in outcome && outcome.value === stage.says),
    );
  },
};

export const failedLoad: Scenario = {
  letter: 'F',
  title: 'The loader fails, many wait',
  order: `${CALLERS} callers in each of two processes ask for a key that is not stored, and its source fails.`,
  right:
    'Every caller gets the error of one attempt (of one attempt per process, if loads are shared only within a process).',
  processes: 2,
  async play(stage, { sharesLoads }) {
    stage.source = 'held';
    const calls = stage.members.map((member) => member.askOften('k', CALLERS));
    await stage.load();
    await stage.begins(2);
    stage.source = 'failing';
    await Promise.all(stage.loads.map((load) => load.fail('the source is down')));
    const got = (await Promise.all(calls)).flat();
    const attempts = stage.loads.length;
    const told = got.filter((outcome) => 'error' in outcome).length;
    return {
      right: attempts === (sharesLoads ? 1 : stage.members.length) && told === got.length,
      seen: `${count(attempts, 'attempt')}, ${told} of ${got.length} callers get an error`,
    };
  },
};

function verdict({ loads }: Stage, allowed: number, allGotIt: boolean): Finding {
  const seen = allGotIt ? count(loads.length, 'load') : `${count(loads.length, 'load')}, not everybody got the value`;
  return { right: loads.length === allowed && allGotIt, seen };
}
