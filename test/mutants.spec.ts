import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { describe, expect, it } from '@jest/globals';
import { defineFragment, type Fragment } from '../libs/redis/index.js';
import { sourceFiles } from './support/tree-rules.js';

interface Mutant {
  readonly name: string;
  readonly file: string;
  readonly find: string;
  readonly replace: string;
  readonly specs: readonly string[];
}

const DIR = join(process.cwd(), 'test/mutants');

/** `a.(b|c)` as `a.b` and `a.c`, for one of them may have moved away without anybody noticing. */
function alternatives(pattern: string): string[] {
  const group = /\(([^()]*)\)/.exec(pattern);
  if (!group) return [pattern];
  return (group[1] ?? '').split('|').flatMap((each) => alternatives(pattern.replace(group[0], () => each)));
}

async function mutantsOf(file: string): Promise<Mutant[]> {
  return ((await import(pathToFileURL(join(DIR, file)).href)) as { default: Mutant[] }).default;
}

/** Why a fragment of Lua refuses the text of a fault, if it does. Its specs then fail to load, which proves nothing. */
async function refusals({ name, file, find, replace }: Mutant): Promise<string[]> {
  const fragments = (await import(join(process.cwd(), file))) as Record<string, unknown>;
  return Object.values(fragments).flatMap((each) => {
    // A file may export other things beside its fragments.
    if (typeof each !== 'object' || each === null || !('text' in each)) return [];
    const fragment = each as Fragment;
    if (!fragment.text.includes(find)) return [];
    try {
      defineFragment({ ...fragment, lua: [fragment.text.replace(find, () => replace)] });
      return [];
    } catch (error) {
      return [`${name}: ${String(error)}`];
    }
  });
}

/** Only that they can be tried. Whether they are noticed, `npm run mutants` shows. */
describe('the seeded faults', () => {
  const files = readdirSync(DIR).filter((file) => file.endsWith('.mutants.mjs'));
  const specs = ['libs', 'apps', 'test'].flatMap(sourceFiles).filter(({ path }) => path.endsWith('.spec.ts'));

  it.each(files)('of %s are found in the sources, once each, and have specs', async (file) => {
    const mutants = await mutantsOf(file);
    const wrong = mutants.flatMap(({ name, file: source, find, replace, specs: patterns }) => {
      const times = readFileSync(source, 'utf8').split(find).length - 1;
      const unknown = patterns
        .flatMap(alternatives)
        .filter((pattern) => !specs.some(({ path }) => new RegExp(pattern).test(path)));
      return [
        ...(times === 1 ? [] : [`${name}: its text is ${times} times in ${source}`]),
        ...(find === replace ? [`${name}: changes nothing`] : []),
        ...unknown.map((pattern) => `${name}: no spec is called ${pattern}`),
      ];
    });
    expect(wrong).toEqual([]);
    expect(mutants.length).toBeGreaterThan(0);
    const names = mutants.map(({ name }) => name);
    expect(names).toEqual([...new Set(names)]);
  });

  it.each(files)('of %s leave fragments of Lua that can be loaded', async (file) => {
    const inFragments = (await mutantsOf(file)).filter(({ file: source }) => source.endsWith('.fragment.ts'));
    const refused: string[] = [];
    // One after the other: Jest fails at modules that are imported for the first time at once.
    for (const mutant of inFragments) refused.push(...(await refusals(mutant)));
    expect(refused).toEqual([]);
  });
});
