/** Faults in what follows when all tasks of a publishMany have ended: nothing, two, too early, or with wrong counts. */
const specs = ['libs/queue/publish/when-settled'];
const join = { file: 'libs/queue/store/scripts/join.fragment.ts', specs };
const publish = { file: 'libs/queue/store/scripts/publish-members.script.ts', specs };
const ack = { file: 'libs/queue/store/scripts/ack-members.script.ts', specs };
const remove = { file: 'libs/queue/store/scripts/remove.script.ts', specs };
const purge = { file: 'libs/queue/store/scripts/purge.script.ts', specs };
const settle = { file: 'libs/queue/store/scripts/settle-failure.script.ts', specs };
const takeOver = { file: 'libs/queue/store/scripts/take-over.fragment.ts', specs };

export default [
  {
    ...join,
    name: 'a member that ends twice counts twice',
    find: 'if math.floor(bits / bit) % 2 == 1 then return end',
    replace: '',
  },
  {
    ...join,
    name: 'a member counts for its neighbour',
    find: '2 ^ (member.at % ${BITS})',
    replace: '2 ^ (member.at % 3)',
  },
  {
    ...join,
    name: 'a join ends with one member to do',
    find: 'join.completed + join.failed + join.removed >= join.total',
    replace: 'join.completed + join.failed + join.removed >= join.total - 1',
  },
  {
    ...join,
    name: 'the record of a join that has ended stays',
    find: "        redis.call('UNLINK', record)\n",
    replace: '',
  },
  {
    ...join,
    name: 'counts are not stored',
    find: "redis.call('HSET', record, 'completed', join.completed, 'failed', join.failed, 'removed', join.removed)",
    replace: '',
  },
  {
    ...join,
    name: 'a settlement shortens the life of a join',
    find: "redis.call('PEXPIRE', record, ${JOIN_KEPT_MS}, 'GT')",
    replace: "redis.call('PEXPIRE', record, ${JOIN_KEPT_MS})",
  },
  {
    ...join,
    name: 'a target that is no stream is found out after the first write',
    find: "if not isOf(join.target, 'stream') then",
    replace: "if isOf(join.target, 'stream') == 0 then",
  },
  {
    ...join,
    name: 'a member beyond the last one counts',
    find: 'if not join or tonumber(at) >= join.total then return nil end',
    replace: 'if not join then return nil end',
    specs: ['libs/queue/store/scripts/join.script'],
  },
  {
    ...publish,
    name: 'a join is opened with the members that have been published',
    find: "redis.call('HSET', join, 'total', total, 'sent'",
    replace: "redis.call('HSET', join, 'total', from + (#ARGV - rest) / 5, 'sent'",
    specs: ['libs/queue/publish/when-settled', 'libs/queue/store/scripts/join.script'],
  },
  {
    ...publish,
    name: 'members are published twice by a repeat',
    find: 'if (tonumber(sent) or 0) ~= from or (from == 0 and sent) then',
    replace: 'if false then',
    specs: ['libs/queue/store/scripts/join.script'],
  },
  {
    ...publish,
    name: 'several groups settle one member',
    find: 'if #groups > 1 then',
    replace: 'if false then',
  },
  {
    ...publish,
    name: 'nothing follows where there are no members',
    find: 'publishFollowUp({ target',
    replace: 'local _ = ({ target',
  },
  {
    ...publish,
    name: 'a join expires before its last member is due',
    find: 'longest = math.max(longest, delayMs)',
    replace: '',
  },
  {
    ...ack,
    name: 'a task that is not pending counts as completed',
    find: "if redis.call('XACK', stream, group, id) == 1 then",
    replace: "if redis.call('XACK', stream, group, id) then",
    specs: ['libs/queue/store/scripts/join.script'],
  },
  { ...ack, name: 'a task that is done does not count', find: "settleMember(members[n], 'completed')", replace: '' },
  { ...ack, name: 'nothing follows the last success', find: 'closeJoins()\nreturn acked', replace: 'return acked' },
  {
    ...remove,
    name: 'a waiting task that is removed is waited for',
    find: "if redis.call('XDEL', stream, id) == 0 then return 0 end\nsettleMember(member, 'removed')",
    replace: "if redis.call('XDEL', stream, id) == 0 then return 0 end",
  },
  {
    ...remove,
    name: 'a delayed task that is removed is waited for',
    find: "redis.call('HDEL', bodies, handle)\nsettleMember(member, 'removed')",
    replace: "redis.call('HDEL', bodies, handle)",
  },
  {
    ...purge,
    name: 'waiting tasks that are purged are waited for',
    find: "settleMember(members[n], 'removed')",
    replace: '',
  },
  {
    ...purge,
    name: 'delayed tasks that are purged are waited for',
    find: "settleMember(members[i], 'removed')",
    replace: '',
  },
  { ...settle, name: 'a dead letter is waited for', find: "settleMember(member, 'failed')", replace: '' },
  {
    ...settle,
    name: 'a cancelled task that throws is waited for',
    find: "  unmark(id)\n  settleMember(member, 'removed')",
    replace: '  unmark(id)',
  },
  {
    ...settle,
    name: 'a task whose entry was deleted is waited for',
    find: "  redis.call('XACK', stream, group, id)\n  settleMember(member, 'removed')",
    replace: "  redis.call('XACK', stream, group, id)",
  },
  { ...settle, name: 'a join expires before a retry is due', find: '  keepJoin(member, delayMs)\n', replace: '' },
  {
    ...takeOver,
    name: 'a task that kills its processes is waited for',
    find: "settleMember(member, 'failed')",
    replace: '',
  },
  {
    ...takeOver,
    name: 'a cancelled task of a dead process is waited for',
    find: "settleMember(member, 'removed')",
    replace: '',
  },
  {
    file: 'libs/queue/publish/when-settled.options.ts',
    name: 'what follows may be in another slot',
    find: 'if (keyspace) checkSameSlot(keyspace, queue, name, SITE);',
    replace: '',
    specs,
  },
  {
    file: 'libs/queue/worker/settling/ack-batcher.ts',
    name: 'tasks beside members are not acknowledged',
    find: '...(others.length > 0 ? [this.#ack(others)] : [])',
    replace: '',
    specs,
  },
  {
    file: 'libs/testing/in-process/testing-join.ts',
    name: 'in a test, what follows comes before the last task has ended',
    find: 'removed === this.#total',
    replace: 'removed === this.#total - 1',
    specs: ['libs/queue/queue.conformance'],
  },
  {
    file: 'libs/queue/store/scripts/move-rights.ts',
    specs: ['libs/queue/store/scripts/join.script'],
    name: 'for a user without HSET a join never ends',
    find: "'XADD', 'HSET', 'PEXPIRE', 'UNLINK'",
    replace: "'XADD', 'PEXPIRE', 'UNLINK'",
  },
  {
    file: 'libs/queue/store/scripts/move-rights.ts',
    specs: ['libs/queue/store/scripts/join.script'],
    name: 'for a user without XADD nothing follows a join',
    find: "'XADD', 'HSET', 'PEXPIRE', 'UNLINK'",
    replace: "'HSET', 'PEXPIRE', 'UNLINK'",
  },
  {
    ...publish,
    specs: ['libs/queue/store/scripts/join.script'],
    name: 'for a user without XADD a join stays that never ends',
    find: "rights: ['XADD', 'ZADD'",
    replace: "rights: ['ZADD'",
  },
];
