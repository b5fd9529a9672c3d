import { randomBytes } from 'node:crypto';
import { joinKey, resultKey, waitersKey, type QueueKeys } from '../../libs/queue/store/queue.keys.js';
import { ackMembersScript } from '../../libs/queue/store/scripts/ack-members.script.js';
import { ackScript } from '../../libs/queue/store/scripts/ack.script.js';
import { WITHHELD, completeScript } from '../../libs/queue/store/scripts/complete.script.js';
import { publishMembersScript } from '../../libs/queue/store/scripts/publish-members.script.js';
import type { Join, Wait } from './ends.js';
import type { Handed, World } from './queue.world.js';
import type { Pick, Rule } from './step.js';

const INBOXES = 'model:inbox:';
const LATER_MS = 1_000_000_000;
const WAIT_MS = 3_600_000;
const PROCESS = 'host:1:1';
const nothing: Rule = () => false;

/** A new wait for the end of a task, whose result is kept beside the queue. */
export function waitBeside(
  world: World,
  keys: QueueKeys,
  of: Omit<Wait, 'token' | 'result' | 'answer'>,
): { wait: Wait; reply: string } {
  const token = randomBytes(16).toString('base64url');
  const result = resultKey(keys, token);
  world.sideKeys.add(result);
  return { wait: { ...of, token, result }, reply: `${PROCESS} ${token} ${WAIT_MS} ${of.group}` };
}

/** A publisher waits for the end of its task, as one of the groups settles it. */
export async function publishAwaited(world: World, pick: Pick): Promise<Rule> {
  const { stream } = world.keys;
  // Only the queue's own stream is sure to have the groups.
  if (stream !== world.main) return nothing;
  const task = world.newTask();
  // One group counts, whatever its name is.
  const group =
    world.groups.length === 1 && pick(2) === 0 ? 'another' : (world.groups[pick(world.groups.length)] ?? '');
  const { wait, reply } = waitBeside(world, world.keys, { group, task });
  world.ends.note(task, { reply });
  world.ends.waits.push(wait);
  const fields = ['payload', task, 'timestamp', 1, 'retry_count', 0, 'meta', JSON.stringify({ reply })];
  await world.link.send('xadd', [stream, '*', ...fields]);
  return (of, from, to) => of.endsWith(` ${task}`) && from === undefined && to === 'waiting:0';
}

/** Publishes tasks, of which one follows when all have ended: some or all of them, in their order. */
export async function publishMembers(world: World, pick: Pick): Promise<Rule> {
  if (world.levels > 1) return nothing;
  const { joins } = world.ends;
  const begun = joins.find(({ sent, total }) => sent < total);
  const join = begun !== undefined && pick(3) > 0 ? begun : openJoin(world, pick);
  const from = pick(8) === 0 ? join.sent + 1 : join.sent;
  const count = Math.min(join.total - join.sent, 1 + pick(4));
  const isRefused = world.groups.length > 1;
  const isLate = !isRefused && join.total > 0 && from !== join.sent;
  const tasks = Array.from({ length: count }, (_, i) => {
    const payload = isRefused || isLate ? 'nobody' : world.newTask();
    const meta = { join: `${join.id}/${join.sent + i}` };
    const isDelayed = pick(4) === 0;
    return { payload, meta, isDelayed, handle: `task-${payload}` };
  });
  const sent = publishMembersScript.run(world.link, {
    keys: { ...world.keys, join: join.record, target: join.target },
    args: { total: join.total, from, payload: `"${join.id}"`, meta: '', inboxes: INBOXES, timestamp: '1' },
    rest: tasks.flatMap(({ payload, meta, isDelayed, handle }) => [
      ...[handle, payload, JSON.stringify(isDelayed ? { id: handle, ...meta } : meta)],
      ...[isDelayed ? LATER_MS : 0, -1, ''],
    ]),
  });
  if (isLate) {
    const said = await sent.then(
      () => 'nothing',
      (error: unknown) => String(error),
    );
    if (!said.includes('the join has')) throw new Error(`a late part of a join was told ${said}`);
    return nothing;
  }
  const { groups } = await sent;
  if ((groups !== undefined) !== isRefused) throw new Error(`the members were refused for ${String(groups)}`);
  if (isRefused) return nothing;
  if (!joins.includes(join)) joins.push(join);
  join.sent += count;
  for (const { payload, meta } of tasks) world.ends.note(payload, meta);
  return (of, before, to) =>
    tasks.some(
      ({ payload, isDelayed }) =>
        of.endsWith(` ${payload}`) && before === undefined && to === (isDelayed ? 'delayed:0' : 'waiting:0'),
    );
}

function openJoin(world: World, pick: Pick): Join {
  const id = randomBytes(9).toString('base64url');
  const [record, target] = [joinKey(world.keys, id), `${world.keys.side}after:${id}`];
  world.sideKeys.add(record).add(target);
  const total = pick(6);
  return { id, record, target, total, sent: 0, settled: new Set(), counts: noCounts(), unseen: 0 };
}
const noCounts = (): Join['counts'] => ({ completed: 0, failed: 0, removed: 0 });

/** The result of a run. */
export const resultOf = ({ consumer, deliveries, attempts }: Handed): string =>
  JSON.stringify(`${consumer} ${deliveries} ${attempts}`);

/**
 * A worker acknowledges what its handler has done, with the script that the task needs. Resolves to how many were pending; -1: the result
 * was withheld, and somebody wants it.
 */
export async function acknowledgeAsWorker(world: World, handed: Handed, pick: Pick): Promise<number> {
  const { link } = world;
  const { group, keys, id, handle } = handed;
  const { join, reply, key = '' } = world.ends.metaOf(handed);
  if (join !== undefined) {
    return ackMembersScript.run(link, { keys, args: { group, side: keys.side }, rest: [id, handle, join] });
  }
  if (reply === undefined && key === '') {
    return ackScript.run(link, { keys, args: { group, count: 1 }, rest: [id, id, handle] });
  }
  const kind = reply === undefined && pick(2) === 0 ? WITHHELD : 'returned';
  const completed = await completeScript.run(link, {
    keys: {
      history: keys.dead,
      ...keys,
      result: resultKey(keys, reply?.split(' ')[1] ?? ''),
      waiters: waitersKey(keys, key),
    },
    args: {
      run: '',
      ...{ group, id, task: handle, meta: world.ends.waitersMeta(handed), side: keys.side, inboxes: INBOXES },
      ...{ kind, text: kind === WITHHELD ? '' : resultOf(handed) },
    },
  });
  const isWanted = kind === WITHHELD && world.ends.waitsFor(handed).length > 0;
  if ((completed === 'awaited') !== isWanted) throw new Error(`the result of ${handle} is ${completed}`);
  return completed === 'awaited' ? -1 : completed === 'done' ? 1 : 0;
}
