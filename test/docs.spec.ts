import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import ts from 'typescript';

const ROOT = process.cwd();
const GUIDES = 'docs/guide';

const markdownIn = (folder: string): string[] =>
  readdirSync(join(ROOT, folder))
    .filter((name) => name.endsWith('.md'))
    .map((name) => `${folder}/${name}`);
const read = (path: string): string => readFileSync(join(ROOT, path), 'utf8');

/** The pages whose code a reader copies. */
const PAGES = ['README.md', ...markdownIn(GUIDES)];

/** One code block of a page, as a module beside that page, where imports resolve as in the sources. */
interface Block {
  readonly file: string;
  readonly text: string;
  /** How far the block's lines are from those of the page. */
  readonly shift: number;
}

/** The ```ts blocks of a page. Each is a module of its own: the reader sees all that it needs. */
function blocksOf(page: string, text: string): Block[] {
  return [...text.matchAll(/^```ts\n(.*?)^```/gms)].map((match) => {
    const line = text.slice(0, match.index).split('\n').length + 1;
    return { file: join(ROOT, `${page}.${line}.ts`), text: `${match[1] ?? ''}\nexport {};\n`, shift: line };
  });
}

/** The part of @opentelemetry/api that the queue's guide uses, with the signatures of version 1.9. */
const OPENTELEMETRY: Block = {
  file: join(ROOT, GUIDES, 'opentelemetry.d.ts'),
  text: `
declare module '@opentelemetry/api' {
  export interface Context { getValue(key: symbol): unknown }
  export const ROOT_CONTEXT: Context;
  export const context: { active(): Context; with<F extends () => unknown>(context: Context, fn: F): ReturnType<F> };
  export const propagation: {
    inject<C>(context: Context, carrier: C): void;
    extract<C>(context: Context, carrier: C): Context;
  };
}`,
  shift: 0,
};

/** What the compiler says of the blocks, each message as `page:line: message`. */
function check(blocks: readonly Block[]): string[] {
  const { config } = ts.readConfigFile(join(ROOT, 'tsconfig.json'), (path) => readFileSync(path, 'utf8')) as {
    config: { compilerOptions: object };
  };
  const { options } = ts.convertCompilerOptionsFromJson(config.compilerOptions, ROOT);
  const host = ts.createCompilerHost({ ...options });
  const byFile = new Map([...blocks, OPENTELEMETRY].map((block) => [block.file, block]));
  const folders = new Set([...byFile.keys()].map((file) => dirname(file)));
  const { fileExists, readFile } = host;
  host.fileExists = (path) => byFile.has(path) || fileExists(path);
  host.readFile = (path) => byFile.get(path)?.text ?? readFile(path);
  host.directoryExists = (path) => folders.has(path) || ts.sys.directoryExists(path);
  const program = ts.createProgram([...byFile.keys()], options, host);
  return blocks.flatMap((block) => {
    const source = program.getSourceFile(block.file);
    return [...program.getSyntacticDiagnostics(source), ...program.getSemanticDiagnostics(source)].map((diagnostic) => {
      const line = source?.getLineAndCharacterOfPosition(diagnostic.start ?? 0).line ?? 0;
      const page = block.file.replace(/\.\d+\.ts$/, '').slice(ROOT.length + 1);
      return `${page}:${line + block.shift}: ${ts.flattenDiagnosticMessageText(diagnostic.messageText, ' ')}`;
    });
  });
}

describe('the README and the guides', () => {
  // A page with faults shows that they would be found.
  const bad = "# A guide\n\n```ts\nimport { WithLock } from 'nestjs-sluice';\nWithLock(7);\n```\n";

  it('show code that compiles, with all its imports', () => {
    const texts = [...PAGES.map((page) => [page, read(page)] as const), [`${GUIDES}/bad.md`, bad] as const];
    const blocks = texts.flatMap(([page, text]) => blocksOf(page, text));
    expect(blocks.length).toBeGreaterThan(30);
    expect(check(blocks)).toEqual([expect.stringMatching(/^docs\/guide\/bad\.md:5: Argument of type 'number'/)]);
  }, 240_000);

  it('say of every error code what it means', () => {
    const sources = readdirSync(join(ROOT, 'libs'), { recursive: true })
      .map(String)
      .filter((path) => path.endsWith('.ts') && !path.endsWith('.spec.ts'));
    // Other names of this kind belong to variables of the environment.
    const codes = sources.flatMap((path) =>
      [...read(`libs/${path}`).matchAll(/(?<!process\.env\[)'(SLUICE_[A-Z_]+)'/g)].map(([, code]) => code),
    );
    const thrown = new Set(codes);
    const listed = new Set(
      [...read(`${GUIDES}/errors.md`).matchAll(/^\| `(SLUICE_[A-Z_]+)`/gm)].map(([, code]) => code),
    );
    expect(thrown.size).toBeGreaterThan(30);
    expect([...listed].sort()).toEqual([...thrown].sort());
  });

  it('list every channel', () => {
    const channels = ['lock', 'cache', 'queue', 'limit', 'redis'].flatMap((lib) =>
      [...read(`libs/${lib}/observe/${lib}.channels.ts`).matchAll(/^ {2}\w+: '(sluice:[\w:-]+)'/gm)].map(
        ([, name]) => name,
      ),
    );
    const listed = [...read(`${GUIDES}/events.md`).matchAll(/^\| `(sluice:[\w:-]+)`/gm)].map(([, name]) => name);
    expect(channels.length).toBeGreaterThan(20);
    expect(listed.sort()).toEqual(channels.sort());
  });
});

/** The anchors of a page's headings, as GitHub makes them. */
function anchorsOf(page: string): Set<string> {
  const headings = [...read(page).matchAll(/^#+ (.*)$/gm)].map(([, title]) => title ?? '');
  return new Set(
    headings.map((title) =>
      title
        .toLowerCase()
        .replace(/\[([^\]]*)\]\([^)]*\)/g, '$1')
        .replace(/[^\p{L}\p{N}\s_-]/gu, '')
        .replace(/\s/g, '-'),
    ),
  );
}

/** The figures of the last benchmark, which are not in the repository. */
const WRITTEN_BY_A_RUN = 'apps/bench/results.json';

describe('what the docs refer to exists', () => {
  // Without installed packages: those of apps/bench have a link to the tree, which never ends.
  const filesIn = (folder: string): string[] =>
    readdirSync(join(ROOT, folder), { withFileTypes: true }).flatMap((entry) => {
      if (!entry.isDirectory()) return [`${folder}/${entry.name}`];
      return entry.name === 'node_modules' ? [] : filesIn(`${folder}/${entry.name}`);
    });
  const specs = ['libs', 'test', 'apps'].flatMap((folder) =>
    filesIn(folder).map((path) => path.slice(folder.length + 1)),
  );
  const docs = [...PAGES, 'ARCHITECTURE.md', ...markdownIn('docs'), ...markdownIn('apps/demo')].concat(
    ['docs/internals', 'docs/comparison', 'docs/adr'].flatMap(markdownIn),
  );

  it.each(docs)('%s', (doc) => {
    const text = read(doc);
    const found = (pattern: RegExp): string[] => [...text.matchAll(pattern)].map(([, name]) => name ?? '');
    const files = found(/`((?:libs|test|apps)\/[\w./-]+\.\w+)`/g).filter(
      (path) => !path.endsWith('.spec') && path !== WRITTEN_BY_A_RUN,
    );
    const links = found(/\]\(([^)\s:]+)\)/g).map((link) => {
      const [path = '', anchor] = link.split('#');
      return { target: path === '' ? doc : join(dirname(doc), path), anchor };
    });
    const missing = [...files, ...links.map(({ target }) => target)].filter((path) => !existsSync(join(ROOT, path)));
    const lost = links
      .filter(({ target, anchor }) => anchor !== undefined && target.endsWith('.md') && !anchorsOf(target).has(anchor))
      .map(({ target, anchor }) => `${target}#${String(anchor)}`);
    // `held-lock.spec.ts` or `test/e2e/lock.spec.ts`: a spec by the end of its path.
    const unknown = found(/`([\w./-]+\.spec)(?:\.ts)?`/g).filter(
      (name) => !specs.some((path) => join('/', path).endsWith(`/${name.replace(/^(?:test|libs|apps)\//, '')}.ts`)),
    );
    expect([...missing, ...lost, ...unknown]).toEqual([]);
  });

  it('in ARCHITECTURE: each name that links to a file is declared there, and each class on a path is linked', () => {
    const text = read('ARCHITECTURE.md');
    const named = [...text.matchAll(/\[`?([A-Za-z]\w+)`?\]\((libs\/[\w/.-]+\.ts)\)/g)];
    expect(named.length).toBeGreaterThan(20);
    const declared = (name: string, path: string): boolean =>
      new RegExp(`(?:class|function|interface|const) ${name}\\b`).test(read(path));
    expect(named.filter(([, name = '', path = '']) => !declared(name, path)).map(([link]) => link)).toEqual([]);
    const paths = text.slice(text.indexOf('## Paths of calls'), text.indexOf('## Keys'));
    const drawn = [...paths.matchAll(/```\n(.*?)```/gs)].flatMap(
      ([, drawing = '']) => drawing.match(/\b[A-Z]\w+/g) ?? [],
    );
    const known = new Set(named.map(([, name]) => name));
    const elsewhere = ['LockedCall', 'MGET', 'XREADGROUP']; // in a file that the text links by its name; commands
    expect(drawn.filter((name) => !known.has(name) && !elsewhere.includes(name))).toEqual([]);
  });

  it('from the code', () => {
    const records = readdirSync(join(ROOT, 'docs/adr')).map((name) => parseInt(name, 10));
    const sources = specs.filter((path) => path.endsWith('.ts') && existsSync(join(ROOT, 'libs', path)));
    const dangling = sources.flatMap((path) => {
      const text = read(`libs/${path}`);
      const pages = [...text.matchAll(/@see ((?:docs\/[\w/-]+|ARCHITECTURE)\.md)(?:#([\w-]+))?/g)];
      return [
        ...pages.flatMap(([link, page = '', anchor]) =>
          existsSync(join(ROOT, page)) && (anchor === undefined || anchorsOf(page).has(anchor)) ? [] : [link],
        ),
        ...[...text.matchAll(/\bADR (\d+)/g)].flatMap(([link, n]) => (records.includes(Number(n)) ? [] : [link])),
      ].map((link) => `${path}: ${link}`);
    });
    expect(dangling).toEqual([]);
  });
});
