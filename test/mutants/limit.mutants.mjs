/** Faults in what keeps rate limits from being exceeded, and from refusing for no reason. */
const state = { specs: ['libs/redis/limits'] };
const sliding = { specs: ['libs/redis/limits/sliding.fragment'], file: 'libs/redis/limits/sliding.fragment.ts' };
const bucket = { ...state, file: 'libs/redis/limits/bucket.fragment.ts' };
const fixed = { ...state, file: 'libs/redis/limits/fixed.fragment.ts' };
const limit = { ...state, file: 'libs/redis/limits/limit.fragment.ts' };

export default [
  {
    ...sliding,
    name: 'a window needs 30 slots, and not one more',
    find: 'const COUNTERS = SLOTS + 1;',
    replace: 'const COUNTERS = SLOTS;',
  },
  {
    ...sliding,
    name: 'the width of a slot may be rounded down',
    find: 'local own = math.ceil(s.span / ${SLOTS})',
    replace: 'local own = math.floor(s.span / (${SLOTS} + 1))',
  },
  {
    ...sliding,
    name: 'an instant may be rounded down',
    find: 'local stamp = math.ceil(now / 1000)\n    for',
    replace: 'local stamp = math.floor(now / 1000)\n    for',
  },
  {
    ...sliding,
    name: 'units of the future are not there yet',
    find: 'live[#live + 1] = math.min(past[i], stampNow)',
    replace: 'if past[i] <= stampNow then live[#live + 1] = past[i] end',
  },
  {
    ...sliding,
    name: 'slots of the future are not there yet',
    find: 'if i > 0 then counts[i]',
    replace: 'if i > 0 and of <= slot then counts[i]',
  },
  {
    ...sliding,
    name: 'a ring from the future need not be written',
    find: 's.stepped, born = true, math.max(born, last * 1000 + 1)',
    replace: 'born = math.max(born, last * 1000 + 1)',
  },
  {
    ...sliding,
    name: 'slots from the future need not be written',
    find: 's.stepped, born = true, math.max(born, (last + 1) * width)',
    replace: 'born = math.max(born, (last + 1) * width)',
  },
  {
    ...sliding,
    name: 'units of other slots are as old as they may be',
    find: '((last - ${COUNTERS - 1} + i) * width - 1) / own)',
    replace: '((last - ${COUNTERS} + i) * width) / own)',
  },
  {
    ...sliding,
    name: 'units of slots are as old as they may be in a ring',
    find: 'math.ceil((last - ${COUNTERS - 1} + i) * width / 1000)',
    replace: 'math.ceil((last - ${COUNTERS} + i) * width / 1000)',
  },
  {
    ...sliding,
    name: 'a refund of one instant takes any units',
    find: '(not at or s.stamps[i] == stamp)',
    replace: '(not at or s.stamps[i] ~= 0)',
  },
  {
    ...sliding,
    name: 'a refund of one slot takes any units',
    find: 'last = first\n',
    replace: 'first = 1\n',
  },
  {
    ...sliding,
    name: 'a narrow counter holds any number',
    find: 'narrow and 65535 or',
    replace: 'narrow and 65536 or',
  },
  {
    ...bucket,
    name: 'the lag of a later time is gone when the clock is set back',
    find: 'then s.stepped, born = true, math.max(born, last + 1)',
    replace: 'then lag = 0',
  },
  {
    ...bucket,
    name: 'a bucket that was full remembers when it was not',
    find: 'if lag > 0 then s.born',
    replace: 's.born = born\n  if lag > 0 then s.born',
  },
  {
    ...bucket,
    name: 'any turn can be given back',
    find: 'if s.wait and math.abs(now + s.lag - ends) >= 1 then return end',
    replace: '',
  },
  {
    ...bucket,
    name: 'a call that waits starts at once',
    find: 'return s.lag + (cost - math.max',
    replace: 'return 0 * s.lag + (cost - math.max',
  },
  {
    ...fixed,
    name: 'a later calendar window ends where this one does',
    find: 'then s.ends = ends\n  elseif not',
    replace: 'then s.used = 0\n  elseif not',
  },
  {
    ...fixed,
    name: 'a window of the future need not be written',
    find: 'elseif ends ~= s.ends then s.stepped = true end',
    replace: 'end',
  },
  {
    ...limit,
    name: 'units may be given back after a reset',
    find: 'if at and at < s.born then return end',
    replace: '',
  },
  {
    ...limit,
    name: 'a call that is sent twice is two calls',
    find: '== nonce then return (struct',
    replace: "== '' then return (struct",
  },
  {
    ...limit,
    name: 'a block ends at once',
    find: 'if s.blocked <= 0 then s.blocked = nil end',
    replace: 's.blocked = nil',
  },
  {
    ...limit,
    name: 'a block leaves the room that there is',
    find: 'if s.blocked then return 0 end\n  local room = s.each and roomInBucket',
    replace: 'local room = s.each and roomInBucket',
  },
  {
    ...limit,
    name: 'an empty state stays',
    find: "if text == '' then redis.call('DEL', s.key)\n  else ",
    replace: "if text == '' then redis.call('SET', s.key, text)\n  else ",
  },
];
