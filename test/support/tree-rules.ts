import { readFileSync, readdirSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import ts from 'typescript';

/** A file of the tree: its path from the root, with forward slashes, and its text. */
export interface SourceFile {
  readonly path: string;
  readonly text: string;
}

/** What one folder holds at most of each: sources, and specs. */
const FILES_PER_FOLDER = 16;

const LINES_PER_FILE = 350;

/** A folder of each feature, because one duty has one name. */
const FEATURES = ['lock', 'cache', 'queue', 'limit'];
const FEATURE_FOLDERS = ['decorators', 'store', 'observe'];

/** Names that the code once had. Each was a word of its own for something that the field has a term for. */
const RETIRED = new Set(
  `Airspace Landing Glance Looks Look HotKeys Holdings GiveBack GiveBacks HandBack Crew Pace Persistence Upkeep Turns
   onIdleHands onAlone atHand LockKeeper KnownLocks WakeUps cacheChannels LetterFilter LetterListOptions`.split(/\s+/),
);

const isSpec = ({ path }: SourceFile): boolean => path.endsWith('.spec.ts');

/** All TypeScript files below `folder`, except what is built or installed. */
export function sourceFiles(folder: string): SourceFile[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return entry.name === 'dist' || entry.name === 'node_modules' ? [] : sourceFiles(path);
    if (!entry.name.endsWith('.ts')) return [];
    return [{ path: path.replaceAll('\\', '/'), text: readFileSync(path, 'utf8') }];
  });
}

/** Folders with more files than a reader takes in at once. A folder of scripts is exempt: it is a list. */
export function crowdedFolders(files: readonly SourceFile[]): string[] {
  const counts = new Map<string, number>();
  for (const file of files) {
    const folder = dirname(file.path);
    if (basename(folder) === 'scripts') continue;
    const kind = `${folder}: ${isSpec(file) ? 'specs' : 'sources'}`;
    counts.set(kind, (counts.get(kind) ?? 0) + 1);
  }
  return [...counts].filter(([, count]) => count > FILES_PER_FOLDER).map(([kind, count]) => `${kind}: ${count}`);
}

/** Files with more lines than allowed. */
export function longFiles(files: readonly SourceFile[]): string[] {
  const lines = (text: string): number => text.replace(/\n$/, '').split('\n').length;
  return files.filter(({ text }) => lines(text) > LINES_PER_FILE).map(({ path, text }) => `${path}: ${lines(text)}`);
}

/** Folders that a feature lacks although all features have them. */
export function missingFolders(files: readonly SourceFile[]): string[] {
  const wanted = FEATURES.flatMap((feature) => FEATURE_FOLDERS.map((folder) => `libs/${feature}/${folder}/`));
  return wanted.filter((folder) => !files.some(({ path }) => path.startsWith(folder)));
}

/** Retired names in code: whole identifiers, not words of comments and texts. */
export function retiredNames(files: readonly SourceFile[]): string[] {
  return files.flatMap(({ path, text }) => {
    const source = ts.createSourceFile(path, text, ts.ScriptTarget.Latest);
    const found: string[] = [];
    const visit = (node: ts.Node): void => {
      if (ts.isIdentifier(node) || ts.isPrivateIdentifier(node)) {
        const name = node.text.replace(/^#/, '');
        if (RETIRED.has(name)) {
          found.push(`${path}:${source.getLineAndCharacterOfPosition(node.getStart(source)).line + 1}: ${name}`);
        }
      }
      ts.forEachChild(node, visit);
    };
    visit(source);
    return found;
  });
}
