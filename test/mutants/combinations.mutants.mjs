/** Faults in what two options of a queue do together, and in the table that tells of it. */
const specs = ['test/e2e/combinations'];
const keys = { file: 'libs/testing/in-process/testing-keys.ts', specs };
const unique = { file: 'libs/queue/store/scripts/publish-unique.script.ts', specs };
const table = { file: 'test/e2e/combinations/combination-table.ts', specs };

export default [
  {
    ...unique,
    name: 'an item that is added to an empty list makes no JSON',
    find: "(old == '[]' and '[' or string.sub(old, 1, -2) .. ',')",
    replace: "string.sub(old, 1, -2) .. ','",
  },
  {
    ...keys,
    name: 'a test replaces in a queue of several groups, which the real queue refuses',
    find: 'if (groups.length > 1) throw severalGroups',
    replace: 'if (groups.length > 9) throw severalGroups',
  },
  {
    ...keys,
    name: 'a test adds an item to what is no list',
    find: 'Array.isArray(payload) && items < max',
    replace: 'items < max',
  },
  {
    file: 'libs/queue/named-tasks.ts',
    specs: ['libs/queue/named-tasks.options'],
    name: 'options for a queue are also those of a queue beside it in its slot',
    find: "return queue.task ?? ('returning' in queue ? false : undefined);",
    replace: 'return queue.task;',
  },
  {
    file: 'libs/queue/limits/queue-shares.ts',
    specs,
    name: 'a look at a queue beside one with levels is refused',
    find: "if (typeof queue === 'string' && names.length > 1 && at === names[0]) return undefined;",
    replace: '',
  },
  {
    ...unique,
    name: 'a new payload replaces collected items that are not due',
    find: `if due and waiter == '' then
    if isList then return { was, 'list' } end`,
    replace: "if due and waiter == '' then",
  },
  {
    ...unique,
    name: 'a new payload replaces collected items that wait in the stream',
    find: `isParked(pending[2])) then
    if isList then return { was, 'list' } end`,
    replace: 'isParked(pending[2])) then',
  },
  {
    ...unique,
    name: 'a new payload puts collected items off',
    find: "if old and isList then return { was, 'list' } end",
    replace: '',
  },
  {
    ...unique,
    name: 'items that were added to a list are dropped',
    find: "'list', mode == 'collect' and was or '')",
    replace: "'list', '')",
  },
  {
    ...keys,
    name: 'a test drops collected items by a new payload',
    find: 'if (known.isList) throw dropsItems',
    replace: 'if (known.isList && request.key === "") throw dropsItems',
  },
  {
    ...keys,
    name: 'a test drops collected items by one that it puts off',
    find: 'if (known.isList && !isCollect) throw dropsItems',
    replace: 'if (known.isList && isCollect) throw dropsItems',
  },
  {
    ...unique,
    name: 'what waits for a place of its key is not replaced',
    find: ' or isParked(pending[2])) then',
    replace: ') then',
  },
  {
    file: 'libs/queue/handlers/handler.registry.ts',
    specs,
    name: 'tasks of two levels wait for a key together',
    find: ", 'a concurrency perKey': perKey",
    replace: '',
  },
  {
    ...table,
    name: 'a cell without a test is not noticed',
    find: 'else if (!test) found.push',
    replace: 'else if (!test) continue;\n    else if (found.length < 0) found.push',
  },
  {
    ...table,
    name: 'a pair without a cell is not noticed',
    find: 'if (!cell) found.push',
    replace: 'if (!cell) continue;\n    else if (found.length < 0) found.push',
  },
];
