/** Faults in what two options of a queue do together, and in the table that tells of it. */
const specs = ['test/e2e/combinations'];
const keys = { file: 'libs/testing/in-process/testing-keys.ts', specs };
const table = { file: 'test/e2e/combinations/combination-table.ts', specs };

export default [
  {
    file: 'libs/queue/store/scripts/publish-unique.script.ts',
    specs,
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
