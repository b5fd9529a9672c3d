/** Where what was loaded before a change is stored after it. */
import { until } from '../until.js';
import type { Finding, Scenario } from './scenario.js';
import type { Member, Stage } from './stage.js';

export const deleted: Scenario = {
  letter: 'D',
  title: 'A delete during a load',
  order:
    'A process loads. The source changes, and the loading process deletes the key. Then the load ends. Once more with another key, which another process deletes.',
  right: 'After the delete, the loading process gets the new value, and so does a process that never asked before.',
  processes: 3,
  play: (stage) => changedWhileLoading(stage, (member, key) => member.delete(key)),
};

export const tagged: Scenario = {
  letter: 'H',
  title: 'A tag is invalidated during a load',
  order: 'As **D**, but a tag of the key is invalidated instead of the key.',
  right: 'The same.',
  needs: 'tags',
  processes: 3,
  play: (stage) => changedWhileLoading(stage, (member, key) => member.invalidateTag(`tag of ${key}`)),
};

async function changedWhileLoading(
  stage: Stage,
  change: (member: Member, key: string) => Promise<unknown>,
): Promise<Finding> {
  const [loading, other, fresh] = stage.members as [Member, Member, Member];
  const found: string[] = [];
  for (const [by, who, key] of [
    [loading, 'its own', 'k1'],
    [other, "another's", 'k2'],
  ] as const) {
    stage.source = 'held';
    const before = stage.says;
    const old = loading.ask(key, `tag of ${key}`);
    const load = await until(() => stage.loads.find((each) => each.key === key), { what: 'it loads', everyMs: 2 });
    stage.version++;
    await change(by, key);
    stage.source = 'open';
    await load.answer();
    // What the caller gets who asked before the change may be old.
    await old;
    const got = { loader: await loading.ask(key, `tag of ${key}`), fresh: await fresh.ask(key, `tag of ${key}`) };
    if (got.loader === before || got.fresh === before) found.push(`the old value after ${who}`);
    else if (got.loader !== stage.says || got.fresh !== stage.says) found.push(`${String(got.fresh)} after ${who}`);
  }
  return { right: found.length === 0, seen: found.join(', ') || 'the new value' };
}

export const zombie: Scenario = {
  letter: 'E',
  title: 'A paused loader wakes up',
  order:
    'A process is paused while it loads (SIGSTOP). The source changes; another process asks, and loads and stores the new value. The paused process continues (SIGCONT), and its load ends.',
  right: 'The new value stays; the late value is not stored.',
  processes: 3,
  async play(stage) {
    const [sleeper, other, fresh] = stage.members as [Member, Member, Member];
    stage.source = 'held';
    const slept = sleeper.ask('k');
    const load = await stage.load();
    sleeper.app.pause();
    stage.version++;
    stage.source = 'open';
    const taken = await other.ask('k');
    const answered = load.answer();
    sleeper.app.resume();
    await answered;
    await slept;
    const got = [taken, await fresh.ask('k'), await sleeper.ask('k')];
    const right = got.every((value) => value === stage.says);
    return { right, seen: right ? 'the new value' : 'the old value is stored over the new one' };
  },
};
