/** What the page says of one pair of features. */
export interface PageCell {
  readonly mark: string;
  /** What the notes say of it; empty: nothing. */
  readonly note: string;
}

/** The table of the page, and its notes. */
export interface CombinationTable {
  /** In the order of the page. */
  readonly features: readonly string[];
  /** By `<feature> × <feature>`, the lower row first. */
  readonly cells: ReadonlyMap<string, PageCell>;
  /** The notes of pairs that have no cell. */
  readonly strayNotes: readonly string[];
}

const plain = (text: string): string =>
  text
    .replace(/\[([^\]]*)\]\([^)]*\)/g, '$1')
    .replaceAll('`', '')
    .trim();

/** The cells of a line of a Markdown table. */
const cellsOf = (line: string): string[] => line.split('|').slice(1, -1).map(plain);

/** Reads the page of combinations: rows `| number | feature | mark … |`, and notes `| feature × feature | what happens |`. */
export function combinationTable(page: string): CombinationTable {
  const lines = page.split('\n').filter((line) => line.startsWith('|'));
  const rows = lines.map(cellsOf).filter(([number = '']) => /^\d+$/.test(number));
  const features = rows.map(([, feature = '']) => feature);
  const notes = new Map(
    lines.flatMap((line) => {
      const [pair = '', note = ''] = cellsOf(line);
      return pair.includes(' × ') ? [[pair, note] as const] : [];
    }),
  );
  const cells = new Map<string, PageCell>();
  for (const [i, [, feature = '', ...marks]] of rows.entries()) {
    for (const [j, mark] of marks.entries()) {
      if (mark === '') continue;
      // A mark right of the diagonal has no partner, and is found because no test has its name.
      const pair = `${feature} × ${j < i ? (features[j] ?? '?') : '?'}`;
      cells.set(pair, { mark, note: notes.get(pair) ?? '' });
    }
  }
  return { features, cells, strayNotes: [...notes.keys()].filter((pair) => !cells.has(pair)) };
}

/** What the page and the tests do not agree on; empty: nothing. */
export function disagreements(
  { features, cells, strayNotes }: CombinationTable,
  tests: ReadonlyMap<string, { mark: string; code?: string }>,
): string[] {
  const pairs = features.flatMap((feature, i) => features.slice(0, i).map((other) => `${feature} × ${other}`));
  const found = strayNotes.map((pair) => `${pair}: a note without a cell`);
  for (const pair of new Set([...pairs, ...cells.keys(), ...tests.keys()])) {
    const cell = cells.get(pair);
    const test = tests.get(pair);
    if (!cell) found.push(`${pair}: no cell`);
    else if (!test) found.push(`${pair}: a cell without a test`);
    else if (cell.mark !== test.mark) found.push(`${pair}: the page says ${cell.mark}, the test ${test.mark}`);
    else if (cell.mark === '✓' && cell.note !== '') found.push(`${pair}: a note, and no mark of it`);
    else if (cell.mark !== '✓' && cell.note === '') found.push(`${pair}: no note`);
    else if (test.code !== undefined && !cell.note.includes(test.code)) found.push(`${pair}: no code ${test.code}`);
  }
  return found;
}
