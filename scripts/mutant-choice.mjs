/** Which seeded faults a run of `npm run mutants` tries: those that changed, and those that no earlier run has killed. */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { root, StepFailed } from './step.mjs';

/** Where it is remembered what was killed. Not in Git. */
const MEMORY = join(root, '.cache/mutants.json');

/** The spec files that Jest would run for an entry's patterns. */
export function specsOf({ name, specs }) {
  const all = ['libs', 'apps', 'test'].flatMap(specFiles);
  return specs.flatMap((pattern) => {
    const files = all.filter((file) => new RegExp(pattern).test(file));
    if (files.length === 0) throw new StepFailed(`'${name}': no spec is called ${pattern}`);
    return files;
  });
}

function specFiles(dir) {
  return readdirSync(join(root, dir), { withFileTypes: true }).flatMap((entry) => {
    const file = `${dir}/${entry.name}`;
    if (entry.isDirectory()) return entry.name === 'node_modules' || entry.name === 'dist' ? [] : specFiles(file);
    return file.endsWith('.spec.ts') ? [file] : [];
  });
}

/** What was killed by earlier runs: the same fault in the same file, with the same specs. */
export class KilledMutants {
  /** What is tried, as it was when this was asked: files may change while a run lasts. */
  #digests = new Map();

  has(feature, mutant) {
    const now = digest(mutant);
    this.#digests.set(mutant, now);
    return read()[nameOf(feature, mutant)] === now;
  }

  add(feature, mutant) {
    // Read anew: another run may have added to it.
    const killed = { ...read(), [nameOf(feature, mutant)]: this.#digests.get(mutant) };
    mkdirSync(dirname(MEMORY), { recursive: true });
    const draft = `${MEMORY}.${process.pid}`;
    writeFileSync(draft, `${JSON.stringify(killed, undefined, 1)}\n`);
    renameSync(draft, MEMORY);
  }
}

const nameOf = (feature, { name }) => `${feature}: ${name}`;

function read() {
  try {
    return JSON.parse(readFileSync(MEMORY, 'utf8'));
  } catch (error) {
    if (error.code === 'ENOENT') return {};
    throw error;
  }
}

function digest(mutant) {
  const texts = [mutant.file, ...specsOf(mutant)].map((file) => [file, readFileSync(join(root, file), 'utf8')]);
  return createHash('sha256')
    .update(JSON.stringify([mutant.find, mutant.replace, texts]))
    .digest('hex');
}

/** A test whether an entry, its file or one of its specs is not as it was at `ref`, committed or not. */
export async function changedSince(ref, file) {
  const files = new Set(
    [git('diff', '--name-only', ref, '--'), git('ls-files', '--others', '--exclude-standard')].join('\n').split('\n'),
  );
  const earlier = new Map((await entriesAt(ref, file)).map((mutant) => [mutant.name, JSON.stringify(mutant)]));
  return (mutant) =>
    files.has(mutant.file) ||
    specsOf(mutant).some((spec) => files.has(spec)) ||
    earlier.get(mutant.name) !== JSON.stringify(mutant);
}

async function entriesAt(ref, file) {
  const path = file.slice(root.length);
  if (git('ls-tree', '--name-only', ref, '--', path) === '') return [];
  const dir = mkdtempSync(join(tmpdir(), 'sluice-mutants-'));
  try {
    const copy = join(dir, 'entries.mjs');
    writeFileSync(copy, git('show', `${ref}:${path}`));
    return (await import(pathToFileURL(copy).href)).default;
  } finally {
    rmSync(dir, { recursive: true });
  }
}

function git(...args) {
  try {
    return execFileSync('git', args, { cwd: root, encoding: 'utf8', stdio: 'pipe', maxBuffer: 1 << 26 }).trimEnd();
  } catch (error) {
    throw new StepFailed(`git ${args.join(' ')} failed`, error.stderr);
  }
}
