import { defineScript, Keyspace, lua, type Link } from '../../libs/redis/index.js';
import { queueKeys, retryKeys, type QueueKeys } from '../../libs/queue/store/queue.keys.js';
import { ID_IN } from '../../libs/queue/store/scripts/task-id.fragment.js';
import { INDEX } from '../../libs/queue/store/scripts/index.fragment.js';

/** An entry that was, or is, pending: what a settlement of it has to name. */
export interface Handed {
  readonly group: string;
  /** Its own stream: the queue's, or that of the group's retries. */
  readonly keys: QueueKeys;
  readonly id: string;
  readonly task: string;
  readonly consumer: string;
  readonly deliveries: number;
  readonly attempts: number;
}

/**
 * Where a task is, for one group: `waiting:<attempts>`, `pending:<consumer>:<deliveries>:<attempts>`, `delayed:<attempts>`,
 * `dead:<reason>`, `done`.
 */
export type Place = string;

/** One place of one task, for one group. */
export interface Row {
  readonly group: string;
  /** The stream or sorted set, and what it is called there. */
  readonly key: string;
  readonly id: string;
  readonly task: string;
  readonly place: Place;
}

/** What a look at Redis found. */
export interface Snapshot {
  readonly rows: readonly Row[];
  /** By `<group> <task>`. More than one place, or none, is a violation. */
  readonly places: ReadonlyMap<string, readonly Place[]>;
  readonly pending: readonly Handed[];
  /** Entries that no group waits for or has pending, and which are still there. */
  readonly left: number;
}

/**
 * KEYS the queue's · ARGV for each group: its name, and of its retries stream, delayed, bodies, index · returns rows of group,
 * stream, id, task, attempts, place. A row also tells of each index that does not lead to the entries that are there.
 */
const lookScript = defineScript({
  name: 'model.look',
  keys: ['stream', 'delayed', 'bodies', 'dead', 'index', 'deadIndex'],
  args: {},
  lua: lua`
${ID_IN}
${INDEX}
local rows = {}
local function field(fields, name)
  for i = 1, #fields, 2 do if fields[i] == name then return fields[i + 1] end end
  return ''
end
local function look(key, group)
  if redis.call('EXISTS', key) == 0 then return end
  local entries = redis.call('XRANGE', key, '-', '+')
  local known = false
  for _, info in ipairs(redis.call('XINFO', 'GROUPS', key)) do if info[2] == group then known = info[8] end end
  local waits, pends = {}, {}
  if known then
    for _, row in ipairs(redis.call('XPENDING', key, group, '-', '+', 100000)) do pends[row[1]] = row end
    for _, entry in ipairs(redis.call('XRANGE', key, '(' .. known, '+')) do waits[entry[1]] = true end
  end
  for _, entry in ipairs(entries) do
    local id, fields = entry[1], entry[2]
    local attempts, place = field(fields, 'retry_count'), 'left'
    if pends[id] then place = 'pending:' .. pends[id][2] .. ':' .. pends[id][4] .. ':' .. attempts
    elseif waits[id] or not known then place = 'waiting:' .. attempts end
    rows[#rows + 1] = { group, key, id, field(fields, 'payload'), attempts, place }
  end
end
local function lookDelayed(zset, hash, group)
  for _, handle in ipairs(redis.call('ZRANGE', zset, 0, -1)) do
    local body = redis.call('HGET', hash, handle) or ''
    local parts, at = {}, 1
    while at <= #body do
      local colon = string.find(body, ':', at, true)
      local length = tonumber(string.sub(body, at, colon - 1))
      parts[#parts + 1] = string.sub(body, colon + 1, colon + length)
      at = colon + length + 1
    end
    rows[#rows + 1] = { group, zset, handle, parts[1] or '', parts[3] or '', 'delayed:' .. (parts[3] or 'none') }
  end
  if redis.call('HLEN', hash) ~= redis.call('ZCARD', zset) then
    rows[#rows + 1] = { group, hash, '', '', '', 'bodies without a due time' }
  end
end
local function checkIndex(key, places)
  local carrying = 0
  for _, entry in ipairs(redis.call('XRANGE', key, '-', '+')) do
    local task = idIn(field(entry[2], 'meta'))
    if task and task ~= entry[1] then
      carrying = carrying + 1
      local leads = false
      for _, range in ipairs(indexed(places, task)) do leads = leads or range[1] == entry[1] end
      if not leads then rows[#rows + 1] = { '', places, entry[1], task, '', 'not in the index' } end
    end
  end
  if redis.call('ZCARD', places) ~= carrying then
    rows[#rows + 1] = { '', places, '', '', '', 'an index of ' .. redis.call('ZCARD', places) .. ' for ' .. carrying }
  end
end
checkIndex(stream, index)
checkIndex(dead, deadIndex)
for i = 1, #ARGV, 5 do
  local group = ARGV[i]
  checkIndex(ARGV[i + 1], ARGV[i + 4])
  look(stream, group)
  lookDelayed(delayed, bodies, group)
  look(ARGV[i + 1], group)
  lookDelayed(ARGV[i + 2], ARGV[i + 3], group)
end
if redis.call('EXISTS', dead) == 1 then
  for _, letter in ipairs(redis.call('XRANGE', dead, '-', '+')) do
    local fields = letter[2]
    rows[#rows + 1] = { field(fields, 'group'), dead, letter[1], field(fields, 'payload'), '', 'dead:' .. field(fields, 'reason') }
  end
end
return rows`,
  decode: (reply) => reply as [group: string, key: string, id: string, task: string, attempts: string, place: Place][],
});

/** One queue with its groups, on a real Redis: what is known of its tasks, and how to look at them. */
export class World {
  readonly link: Link;
  readonly keys: QueueKeys;
  readonly retries: ReadonlyMap<string, QueueKeys>;
  readonly groups: readonly string[];
  /** `<group> <task>` of what was acknowledged. */
  readonly done = new Set<string>();
  readonly alive = new Set<string>();
  /** All that ever was pending, latest last: what a zombie may come back with. */
  readonly history: Handed[] = [];
  published = 0;
  steps = 0;
  last: Snapshot = { rows: [], places: new Map(), pending: [], left: 0 };

  constructor(link: Link, namespace: string, groups: readonly string[]) {
    const keyspace = new Keyspace(namespace);
    this.link = link;
    this.groups = groups;
    this.keys = queueKeys(keyspace, 'tasks');
    this.retries = new Map(groups.map((group) => [group, retryKeys(keyspace, 'tasks', group)]));
  }

  /** Where a group's retries go, and so what it reads besides the queue. */
  retryKeysOf(group: string): QueueKeys {
    return this.retries.get(group) ?? this.keys;
  }

  async begin(): Promise<void> {
    await this.end();
    for (const group of this.groups)
      await this.link.send('xgroup', ['CREATE', this.keys.stream, group, '0', 'MKSTREAM']);
  }

  async end(): Promise<void> {
    const all = [this.keys, ...this.retries.values()];
    await this.link.send('del', [...new Set(all.flatMap((keys) => Object.values(keys) as string[]))]);
  }

  async look(): Promise<Snapshot> {
    const keysOf = new Map([this.keys, ...this.retries.values()].map((keys) => [keys.stream, keys]));
    const rest = [...this.retries].flatMap(([group, keys]) => [
      ...[group, keys.stream, keys.delayed, keys.bodies, keys.index],
    ]);
    const rows = await lookScript.run(this.link, { keys: this.keys, args: {}, rest });
    const places = new Map<string, Place[]>();
    const found: Row[] = [];
    const pending: Handed[] = [];
    let left = 0;
    for (const task of this.done) places.set(task, ['done']);
    for (const [group, key, id, task, attempts, place] of rows) {
      if (place === 'left') {
        left++;
        continue;
      }
      found.push({ group, key, id, task, place });
      const of = `${group} ${task}`;
      places.set(of, [...(places.get(of) ?? []), place]);
      const [kind, ...rest] = place.split(':');
      const keys = keysOf.get(key);
      if (kind !== 'pending' || keys === undefined) continue;
      const deliveries = Number(rest.at(-2));
      const consumer = rest.slice(0, -2).join(':');
      pending.push({ group, keys, id, task, consumer, deliveries, attempts: Number(attempts) });
    }
    this.history.push(...pending);
    this.history.splice(0, Math.max(0, this.history.length - 200));
    return (this.last = { rows: found, places, pending, left });
  }
}
