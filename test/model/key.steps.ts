import { randomBytes } from 'node:crypto';
import { RELEASED, recordKey, waitersKey } from '../../libs/queue/store/queue.keys.js';
import { endKeyScript, type EndedKey } from '../../libs/queue/store/scripts/end-key.script.js';
import { publishUniqueScript, type PublishedUnique } from '../../libs/queue/store/scripts/publish-unique.script.js';
import type { KnownKey, Row, World } from './queue.world.js';
import { waitBeside } from './settled.steps.js';
import type { Pick, Rule, Step } from './step.js';

/** What can follow comes more often: it needs a task that a worker has. */
const MODES = ['skip', 'replace', 'follow-up', 'follow-up', 'debounce', 'collect', 'join', 'join'] as const;
/** `join`: a publisher waits for the task that is there, or for a new one. */
type Mode = (typeof MODES)[number];

interface Publish {
  readonly key: string;
  readonly mode: string;
  readonly nonce: string;
  /** Who waits; '': nobody. */
  readonly waiter?: string;
}

/** One key meets more of its own tasks. */
const KEY = 'k'.repeat(22);
const MAX_ITEMS = 3;
/** Nothing comes due by itself. */
const LATER_MS = 1_000_000_000;
const FOR_EVER = 9_000_000_000_000;
const INBOXES = 'model:inbox:';
const nothing: Rule = () => false;

/** Publishes under a key, in some mode. A queue with levels has no keys. */
async function publishUnder(world: World, pick: Pick): Promise<Rule> {
  if (world.levels > 1) return nothing;
  const key = KEY;
  const mode = MODES[pick(MODES.length)] ?? 'skip';
  const nonce = randomBytes(12).toString('hex');
  const known = world.known.get(key);
  const rows = rowsOf(world, known?.id);
  const wanted = expected(world, mode, known, rows);
  const task = world.newTask();
  const waiters = waitersKey(world.keys, key);
  const { wait, reply } = waitBeside(world, world.keys, { group: world.groups[0] ?? '' });
  const waiter = mode === 'join' ? reply : '';
  const { id, outcome, groups } = await send(world, { key, mode, nonce, waiter }, task);
  if ((groups !== undefined) !== (wanted === 'refused')) throw new Error(`${mode} was refused for ${String(groups)}`);
  if (wanted === 'refused') return unused(world, task);
  const isSame = known !== undefined && id === known.id;
  if (outcome !== wanted.outcome || isSame !== wanted.same) {
    throw new Error(
      `${mode} under ${key} answered ${outcome} ${id}, after ${known?.id ?? 'none'}, not ${wanted.outcome}`,
    );
  }
  if (mode === 'join') world.ends.waits.push({ ...wait, joined: { id, waiters } });
  if (outcome === 'skipped') return unused(world, task);
  world.ends.note(task, { key });
  world.answered.push({ key, mode, nonce, answer: { id, outcome } });
  world.answered.splice(0, Math.max(0, world.answered.length - 5));
  // Whatever is due by the clock is due only when the model says so.
  await world.link.send('zadd', [world.keys.delayed, 'XX', FOR_EVER, id]);
  const [row] = rows;
  const isList = mode === 'collect';
  if (!isSame) {
    if (wanted.after !== undefined) world.follows.set(id, wanted.after);
    const payload = isList ? `[${task}]` : task;
    const items = isList || mode === 'debounce' ? 1 : 0;
    world.known.set(key, { id, payload, items, after: wanted.after });
    const to = isList || mode === 'debounce' || wanted.after !== undefined ? 'delayed:0' : 'waiting:0';
    return appears(task, to);
  }
  // The old payload is nowhere any more, and the new one is in its place.
  const was = row?.task ?? '';
  world.supersede(was);
  if (!world.isHeld(id)) world.follows.delete(id);
  const payload = isList ? `${known.payload.slice(0, -1)},${task}]` : task;
  const waits = mode === 'debounce' || isList;
  const after = waits ? undefined : known.after;
  world.known.set(key, { id, payload, items: known.items + (waits ? 1 : 0), after });
  const to = row?.key === world.keys.delayed ? 'delayed:0' : 'waiting:0';
  if (isList && !(await bodyOf(world, id)).includes(`${payload.length}:${payload}`))
    throw new Error(`${id} is not ${payload}`);
  return (of, from, place) => appears(task, to)(of, from, place) || (of.endsWith(` ${was}`) && place === 'done');
}

type Wanted = { outcome: PublishedUnique['outcome']; same: boolean; after?: string | undefined } | 'refused';

function expected(world: World, mode: Mode, known: KnownKey | undefined, rows: readonly Row[]): Wanted {
  const fresh: Wanted = { outcome: 'published', same: false };
  const delayed = rows.find(({ key }) => key === world.keys.delayed);
  // What was collected is not dropped: such a call changes nothing, and tells so.
  const unlessCollected = (wanted: Wanted): Wanted =>
    known?.payload.endsWith(']') === true ? { outcome: 'skipped', same: true } : wanted;
  if (mode === 'join' && world.groups.length > 1) return 'refused';
  if (mode === 'skip' || mode === 'join') return rows.length > 0 ? { outcome: 'skipped', same: true } : fresh;
  if (mode === 'debounce') {
    return delayed?.place === 'delayed:0' ? unlessCollected({ outcome: 'postponed', same: true }) : fresh;
  }
  if (mode === 'collect') {
    const hasRoom = known !== undefined && known.items < MAX_ITEMS && known.payload.endsWith(']');
    return delayed?.place === 'delayed:0' && hasRoom ? { outcome: 'collected', same: true } : fresh;
  }
  if (world.groups.length > 1) return 'refused';
  if (delayed) return unlessCollected({ outcome: world.isHeld(delayed.handle) ? 'follows' : 'replaced', same: true });
  const waits = ({ key, place }: Row): boolean =>
    key === world.keys.stream && (place.startsWith('waiting:') || place.startsWith(`pending:${RELEASED}:`));
  if (rows.some(waits)) return unlessCollected({ outcome: 'replaced', same: true });
  if (mode === 'replace') return fresh;
  const after = [known?.id, known?.after].find((id) => id !== undefined && world.isActive(id));
  return after === undefined ? fresh : { outcome: 'follows', same: false, after };
}

/** A repeat of a publish changes nothing, whatever has happened since. */
async function repeat(world: World, pick: Pick): Promise<Rule> {
  const before = world.answered[pick(Math.max(1, world.answered.length))];
  if (before === undefined) return nothing;
  const task = world.newTask();
  const { id, outcome } = await send(world, before, task);
  if (id !== before.answer.id || outcome !== before.answer.outcome) {
    throw new Error(
      `a repeat answered ${outcome} ${id}, and the first call ${before.answer.outcome} ${before.answer.id}`,
    );
  }
  return unused(world, task);
}

/** A worker tells that a task with a key has ended, at any time later, or though it has not. */
async function endKey(world: World, pick: Pick): Promise<Rule> {
  const key = KEY;
  const known = world.known.get(key);
  const id = pick(2) === 0 ? known?.id : known?.after;
  // A task that is still to follow another one has not run.
  if (known === undefined || id === undefined || world.isHeld(id)) return nothing;
  const ended = await endKeyScript.run(world.link, {
    keys: { ...world.keys, record: recordKey(world.keys, key) },
    args: { id, side: world.keys.side, inboxes: INBOXES },
  });
  const wanted = endOf(world, known, id);
  if (ended !== wanted) throw new Error(`the end of ${id} was ${ended}, and not ${wanted}`);
  if (ended === 'forgotten') world.known.delete(key);
  if (ended === 'followed') await world.link.send('zadd', [world.keys.delayed, 'XX', FOR_EVER, known.id]);
  return nothing;
}

function endOf(world: World, known: KnownKey, id: string): EndedKey {
  if (world.isActive(id)) return 'kept';
  if (known.id === id) return world.last.rows.some((row) => row.handle === id) ? 'kept' : 'forgotten';
  const isDelayed = world.last.rows.some((row) => row.handle === known.id && row.key === world.keys.delayed);
  return isDelayed && world.follows.get(known.id) === id ? 'followed' : 'kept';
}

async function send(world: World, { key, mode, nonce, waiter = '' }: Publish, task: string): Promise<PublishedUnique> {
  const { stream, delayed, bodies, alive, index, side } = world.keys;
  const record = recordKey(world.keys, key);
  const nonceKey = `${side}nonce:${nonce}`;
  const waiters = waitersKey(world.keys, key);
  world.sideKeys.add(record).add(nonceKey).add(waiters);
  return publishUniqueScript.run(world.link, {
    keys: { record, nonceKey, stream, delayed, bodies, alive, index, waiters },
    args: {
      ...{
        mode: mode === 'join' ? 'skip' : mode,
        key,
        payload: task,
        windowMs: mode === 'debounce' || mode === 'collect' ? LATER_MS : 0,
      },
      ...{ maxWaitMs: LATER_MS, max: MAX_ITEMS, maxBytes: 1_000, side, inboxes: INBOXES },
      ...{ handle: `task-${task}`, meta: JSON.stringify({ key }), delayMs: 0, runAtMs: -1, timestamp: '1', waiter },
    },
  });
}

const bodyOf = async (world: World, id: string): Promise<string> =>
  (await world.link.send<string | null>('hget', [world.keys.bodies, id])) ?? '';

function rowsOf(world: World, id: string | undefined): readonly Row[] {
  return world.last.rows.filter(({ handle, place }) => handle === id && !place.startsWith('dead:'));
}

function appears(task: string, place: string): Rule {
  return (of, from, to) => of.endsWith(` ${task}`) && from === undefined && to === place;
}

/** The task was published nowhere. */
function unused(world: World, task: string): Rule {
  world.supersede(task);
  return appears(task, 'done');
}

export const KEY_STEPS: Readonly<Record<string, { weight: number; run: Step }>> = {
  publishUnder: { weight: 8, run: publishUnder },
  repeatUnder: { weight: 1, run: repeat },
  endKey: { weight: 3, run: endKey },
};
