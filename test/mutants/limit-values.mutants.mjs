/** Faults in what keeps a foreign value in the key of a rate limit from failing its calls. */
const specs = ['libs/redis/limits/foreign-values'];
const ring = { specs, file: 'libs/redis/limits/ring.fragment.ts' };
const slots = { specs, file: 'libs/redis/limits/slots.fragment.ts' };
const past = { specs, file: 'libs/redis/limits/sliding.fragment.ts' };
const fixed = { specs, file: 'libs/redis/limits/fixed.fragment.ts' };
const limit = { specs, file: 'libs/redis/limits/limit.fragment.ts' };

export default [
  { ...ring, name: 'a ring has as many offsets as it says', find: 'count > 0 and #text >= ends', replace: 'count > 0' },
  {
    ...past,
    name: 'a ring of the past has as many offsets as it says',
    find: 'if count == 0 or #text < ends then',
    replace: 'if count == 0 then',
  },
  {
    ...past,
    name: 'slots of the past that were cut off are all there',
    find: '    if #text < ends then return instants, units end\n    local born, width',
    replace: '    local born, width',
  },
  {
    ...slots,
    name: 'slots may hold less than no units',
    find: ' and s.older >= 0 and s.newest >= 0',
    replace: '',
  },
  {
    ...past,
    name: 'the newest slot of the past holds any units',
    find: '    if not (newest >= 0) then return instants, units end\n',
    replace: '',
  },
  {
    ...slots,
    name: 'more units pass than there are',
    find: 'return packed, math.max(0, older) + newest, 0',
    replace: 'return packed, older + newest, 0',
  },
  {
    ...slots,
    name: 'more units are given back than there are',
    find: 'math.max(0, s.older - less)',
    replace: 's.older - less',
  },
  {
    ...fixed,
    name: 'a window that was cut off is all there',
    find: ' or #text < 25 then return end',
    replace: ' then return end',
  },
  {
    ...fixed,
    name: 'a window may have no end',
    find: 'if not (ends > now and used >= 0) then return end',
    replace: 'if ends <= now or not (used >= 0) then return end',
  },
  {
    ...fixed,
    name: 'the units of a window may be no number',
    find: 'if not (ends > now and used >= 0) then return end',
    replace: 'if not (ends > now) then return end',
  },
  {
    ...limit,
    name: 'a block that was cut off is all there',
    find: " == '!' and #text > ${BLOCK_BYTES - 1} then",
    replace: " == '!' then",
  },
  {
    ...limit,
    name: 'a block may begin at no time',
    find: 'if not (s.blocked > 0 and s.blocked <',
    replace: 'if s.blocked <= 0 or not (s.blocked ~= s.blocked or s.blocked <',
  },
  {
    ...limit,
    name: 'a block may last for ever',
    find: 'if not (s.blocked > 0 and s.blocked < ${FOR_EVER_US}) then',
    replace: 'if not (s.blocked > 0) then',
  },
  {
    ...limit,
    name: 'a trace that was cut off is read',
    find: ' == 1 and #s.traces >= at + ${TRACE_BYTES - 1} then',
    replace: ' == 1 then',
  },
  {
    name: 'blocking a limit whose block was cut off fails',
    file: 'libs/limit/store/scripts/block.script.ts',
    find: " == '!' and #text > ${BLOCK_BYTES - 1} then",
    replace: " == '!' then",
    specs: ['libs/limit/store/limit.store'],
  },
];
