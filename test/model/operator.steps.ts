import { RELEASED, type QueueKeys } from '../../libs/queue/store/queue.keys.js';
import { cancelScript, cancellationsScript } from '../../libs/queue/store/scripts/cancel.script.js';
import { purgeDelayedScript, purgeWaitingScript } from '../../libs/queue/store/scripts/purge.script.js';
import { redriveScript } from '../../libs/queue/store/scripts/redrive.script.js';
import { removeDelayedScript, removeWaitingScript } from '../../libs/queue/store/scripts/remove.script.js';
import { runNowScript } from '../../libs/queue/store/scripts/run-now.script.js';
import type { Row, World } from './queue.world.js';
import type { Pick, Rule, Step } from './step.js';

const INBOXES = 'model:inbox:';
const nothing: Rule = () => false;
const one = <T>(of: readonly T[], pick: Pick): T | undefined => of[pick(Math.max(1, of.length))];
const gone =
  (rows: readonly Row[]): Rule =>
  (of, _, to) =>
    to === 'done' && rows.some(({ group, task }) => of === `${group} ${task}`);
/** Whether no worker has the entry. */
const isIdle = ({ place }: Row): boolean => !place.startsWith('pending:') || place.startsWith(`pending:${RELEASED}:`);
const isDead = ({ place }: Row): boolean => place.startsWith('dead:');

/** Whose stream or delayed tasks these are: the queue's, or those of a group's retries. */
const keysAt = (world: World, key: string): QueueKeys =>
  [...world.retries.values()].find(({ stream, delayed }) => stream === key || delayed === key) ?? world.keys;
/** What is in one place, for all groups. */
const samePlace = (world: World, { key, id }: Row): Row[] =>
  world.last.rows.filter((row) => row.key === key && row.id === id);

function removed(world: World, rows: readonly Row[]): Rule {
  for (const row of rows) world.settle(row, { how: 'removed' });
  return gone(rows);
}

/** A dead letter goes back to work, in its own group. */
async function redrive(world: World, pick: Pick): Promise<Rule> {
  const letters = world.last.rows.filter(isDead);
  const members = letters.filter((each) => world.ends.metaOf(each).join !== undefined);
  const letter = one(members.length > 0 && pick(2) === 0 ? members : letters, pick);
  if (letter === undefined) return nothing;
  const { stream: retryStream, index: retryIndex } = world.retryKeysOf(letter.group);
  world.ends.redriven(letter);
  const { moved } = await redriveScript.run(world.link, {
    keys: { ...world.keys, retryStream, retryIndex },
    args: { group: letter.group },
    rest: [letter.id, letter.handle, world.ends.textOf(letter)],
  });
  if (moved !== 1) throw new Error(`the redrive of ${letter.id} moved ${moved}`);
  return (of, _, to) => of === `${letter.group} ${letter.task}` && to === 'waiting:0';
}

/** An operator takes a task away, unless a worker has it. It counts as done for those groups that waited for it. */
async function remove(world: World, pick: Pick): Promise<Rule> {
  const row = one(
    world.last.rows.filter((each) => !isDead(each)),
    pick,
  );
  if (row === undefined) return nothing;
  const keys = keysAt(world, row.key);
  const { side } = keys;
  const same = samePlace(world, row);
  const isGone =
    keys.delayed === row.key
      ? await removeDelayedScript.run(world.link, { keys, args: { handle: row.id, side } })
      : await removeWaitingScript.run(world.link, {
          keys,
          args: { released: RELEASED, id: row.id, task: row.handle, side },
        });
  if (isGone !== same.every(isIdle)) throw new Error(`the removal of ${row.id}, ${row.place}, answered ${isGone}`);
  return isGone ? removed(world, same) : nothing;
}

/** An operator cancels a task that a worker of some group has. It is marked: whatever ends its run but a success drops it. */
async function cancel(world: World, pick: Pick): Promise<Rule> {
  const handed = one(world.last.pending, pick);
  if (handed === undefined) return nothing;
  const { group, keys, id } = handed;
  if (!(await cancelScript.run(world.link, { keys, args: { group, id, inboxes: INBOXES } }))) {
    throw new Error(`${id} was not marked for ${group}`);
  }
  world.marked.add(`${keys.stream} ${id} ${group}`);
  return nothing;
}

/** A worker asks which of its tasks are cancelled. Marks without a meaning are deleted. */
async function cancellations(world: World, pick: Pick): Promise<Rule> {
  const { group, consumer, keys } = one(world.last.pending, pick) ?? {};
  if (group === undefined || consumer === undefined || keys === undefined) return nothing;
  const found: string[] = [];
  let next: number | undefined = 0;
  do {
    const args = { group, consumer, from: next, count: 1 + pick(3) };
    const told: Awaited<ReturnType<typeof cancellationsScript.run>> = await cancellationsScript.run(world.link, {
      keys,
      args,
    });
    found.push(...told.ids);
    next = told.next;
  } while (next !== undefined);
  const wanted = world.last.pending.filter(
    (each) => each.keys === keys && each.group === group && each.consumer === consumer && world.isMarked(each),
  );
  if (
    found.sort().join() !==
    wanted
      .map(({ id }) => id)
      .sort()
      .join()
  ) {
    throw new Error(`${consumer} was told that ${found.join()} are cancelled, of ${wanted.length}`);
  }
  return nothing;
}

/** Some of what waits for a group is purged, the first entries first. */
async function purgeWaiting(world: World, pick: Pick): Promise<Rule> {
  // It takes much at once.
  if (pick(3) > 0) return nothing;
  const group = one(world.groups, pick) ?? '';
  const keys = pick(3) === 0 ? world.retryKeysOf(group) : world.keys;
  if ((await world.link.send('exists', [keys.stream])) === 0) return nothing;
  await world.link.send('xgroup', ['CREATE', keys.stream, group, '0']).catch(() => {});
  const count = 1 + pick(4);
  const { removed: said, looked } = await purgeWaitingScript.run(world.link, {
    keys,
    args: { group, released: RELEASED, after: '', to: '', count, side: keys.side },
  });
  const waits = world.last.rows.filter((row) => row.key === keys.stream && row.group === group && isIdle(row));
  const left = await world.link.send<[string, unknown][]>('xrange', [keys.stream, '-', '+']);
  const there = new Set(left.map(([id]) => id));
  const away = waits.filter(({ id }) => !there.has(id));
  const stays = waits.filter((row) => there.has(row.id) && samePlace(world, row).every(isIdle));
  const worked = away.find((row) => !samePlace(world, row).every(isIdle));
  if (worked) throw new Error(`${worked.id} was purged, though a worker has it`);
  if (away.length !== said) throw new Error(`${said} were purged, and ${away.length} are gone`);
  if (looked < count && stays.length > 0) throw new Error(`${stays.length} of ${group} were left, with room for more`);
  return removed(
    world,
    away.flatMap((row) => samePlace(world, row)),
  );
}

/** Some delayed tasks are purged, the next due first. */
async function purgeDelayed(world: World, pick: Pick): Promise<Rule> {
  if (pick(3) > 0) return nothing;
  const group = one(world.groups, pick) ?? '';
  const keys = pick(3) === 0 ? world.retryKeysOf(group) : world.keys;
  const count = 1 + pick(3);
  const handles = await world.link.send<string[]>('zrange', [keys.delayed, 0, count - 1]);
  const purged = await purgeDelayedScript.run(world.link, { keys, args: { count, side: keys.side } });
  if (purged.removed !== handles.length) throw new Error(`${purged.removed} of ${handles.length} were purged`);
  return removed(
    world,
    world.last.rows.filter(({ key, id }) => key === keys.delayed && handles.includes(id)),
  );
}

/** A delayed task becomes due, which the next promotion finds. */
async function runNow(world: World, pick: Pick): Promise<Rule> {
  const row = one(
    world.last.rows.filter(({ place }) => !place.startsWith('dead:')),
    pick,
  );
  if (row === undefined) return nothing;
  const keys = keysAt(world, row.key);
  const isDelayed = row.key === keys.delayed;
  const isDue = await runNowScript.run(world.link, {
    keys,
    args: { handle: row.handle, target: keys.stream, inboxes: INBOXES },
  });
  if (isDue !== isDelayed) throw new Error(`to run ${row.handle}, ${row.place}, answered ${isDue}`);
  if (!isDelayed) return nothing;
  const score = Number(await world.link.send('zscore', [keys.delayed, row.handle]));
  if (score > Date.now() + 600_000) throw new Error(`${row.handle} is due at ${score}`);
  // Nothing comes due by the clock.
  await world.link.send('zadd', [keys.delayed, 'XX', 1, row.handle]);
  return nothing;
}

export const OPERATOR_STEPS: Readonly<Record<string, { weight: number; run: Step }>> = {
  redrive: { weight: 2, run: redrive },
  remove: { weight: 1, run: remove },
  cancel: { weight: 2, run: cancel },
  cancellations: { weight: 1, run: cancellations },
  purgeWaiting: { weight: 1, run: purgeWaiting },
  purgeDelayed: { weight: 1, run: purgeDelayed },
  runNow: { weight: 1, run: runNow },
};
