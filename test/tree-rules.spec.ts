import { describe, expect, it } from '@jest/globals';
import {
  crowdedFolders,
  longFiles,
  missingFolders,
  retiredNames,
  sourceFiles,
  type SourceFile,
} from './support/tree-rules.js';

const file = (path: string, text = ''): SourceFile => ({ path, text });
const many = (count: number, folder: string, suffix: string): SourceFile[] =>
  Array.from({ length: count }, (_, i) => file(`${folder}/file-${i}${suffix}`));

describe('the tree', () => {
  const libs = sourceFiles('libs');
  const all = [...libs, ...sourceFiles('apps'), ...sourceFiles('test')];

  it('was read', () => {
    expect(libs.length).toBeGreaterThan(200);
    expect(all.map(({ path }) => path)).toEqual(
      expect.arrayContaining(['libs/lock/index.ts', 'test/tree-rules.spec.ts']),
    );
  });

  it('holds at most 16 sources and 16 specs per folder of libs', () => {
    expect(crowdedFolders(libs)).toEqual([]);
  });

  it('has no file of more than 350 lines', () => {
    expect(longFiles(all)).toEqual([]);
  });

  it('gives the folders for one duty one name in all features', () => {
    expect(missingFolders(libs)).toEqual([]);
  });

  it('uses none of the retired names in the code of libs', () => {
    expect(retiredNames(libs)).toEqual([]);
  });
});

describe('a planted violation is found:', () => {
  it('the seventeenth source of a folder', () => {
    expect(crowdedFolders(many(17, 'libs/lock/held', '.ts'))).toEqual(['libs/lock/held: sources: 17']);
  });

  it('the seventeenth spec of a folder', () => {
    expect(crowdedFolders(many(17, 'libs/lock', '.spec.ts'))).toEqual(['libs/lock: specs: 17']);
  });

  it('not sixteen of each, and not a folder of scripts', () => {
    const full = [
      ...many(16, 'libs/lock', '.ts'),
      ...many(16, 'libs/lock', '.spec.ts'),
      ...many(16, 'libs/lock/held', '.ts'),
    ];
    expect(crowdedFolders([...full, ...many(30, 'libs/lock/store/scripts', '.ts')])).toEqual([]);
  });

  it('a file of 351 lines, not one of 350', () => {
    const files = [file('a.ts', 'x;\n'.repeat(350)), file('b.ts', 'x;\n'.repeat(351))];
    expect(longFiles(files)).toEqual(['b.ts: 351']);
  });

  it('a feature whose folder has a name of its own', () => {
    const files = ['lock', 'cache', 'queue', 'limit'].flatMap((feature) =>
      ['decorators', 'store', 'observe'].map((folder) => file(`libs/${feature}/${folder}/a.ts`)),
    );
    expect(missingFolders(files)).toEqual([]);
    expect(missingFolders([...files.slice(1), file('libs/lock/decorator/a.ts')])).toEqual(['libs/lock/decorators/']);
  });

  it.each([
    ['class Crew {}', 'Crew'],
    ['const atHand = 1;', 'atHand'],
    ["import { cacheChannels } from './a.js';", 'cacheChannels'],
    ['class Worker { #onAlone = 1; }', 'onAlone'],
    ['type Options = { onIdleHands: () => void };', 'onIdleHands'],
    ['export type { Looks } from "./looks.js";', 'Looks'],
  ])('a retired name in %s', (text, name) => {
    expect(retiredNames([file('a.ts', `\n${text}`)])).toEqual([`a.ts:2: ${name}`]);
  });

  it.each([
    '// Looks for work',
    "const text = 'Turns';",
    'class CrewMember {}',
    'const looks = 1;',
    'const x = `Pace`;',
  ])('none in %s', (text) => {
    expect(retiredNames([file('a.ts', text)])).toEqual([]);
  });
});
