import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import ts from 'typescript';

const ROOT = process.cwd();
const GUIDES = 'docs/guide';

/** One block of a guide, as a module beside it, where imports resolve as in the sources. */
interface Block {
  readonly file: string;
  readonly text: string;
  /** How far its lines are from those of the guide. */
  readonly shift: number;
}

/**
 * The ```ts blocks of a guide. Each is a module: with the declarations of the guide's hidden comment `<!-- docs:preamble … -->`
 * before it, unless it has imports of its own.
 */
function blocksOf(guide: string, text: string): Block[] {
  const preamble = /<!-- docs:preamble\n(.*?)-->/s.exec(text)?.[1] ?? '';
  return [...text.matchAll(/^```ts\n(.*?)^```/gms)].map((match) => {
    const code = match[1] ?? '';
    const before = /^import /m.test(code) ? '' : preamble;
    const line = text.slice(0, match.index).split('\n').length + 1;
    return {
      file: join(ROOT, GUIDES, `${guide}.${line}.ts`),
      text: `${before}${code}\nexport {};\n`,
      shift: line - before.split('\n').length + 1,
    };
  });
}

/** What the compiler says, each as `guide:line: message`. */
function check(blocks: readonly Block[]): string[] {
  const { config } = ts.readConfigFile(join(ROOT, 'tsconfig.json'), (path) => readFileSync(path, 'utf8')) as {
    config: { compilerOptions: object };
  };
  const { options } = ts.convertCompilerOptionsFromJson(config.compilerOptions, ROOT);
  const host = ts.createCompilerHost({ ...options });
  const byFile = new Map(blocks.map((block) => [block.file, block]));
  const { fileExists, readFile } = host;
  host.fileExists = (path) => byFile.has(path) || fileExists(path);
  host.readFile = (path) => byFile.get(path)?.text ?? readFile(path);
  host.directoryExists = (path) => path === dirname(blocks[0]?.file ?? '') || ts.sys.directoryExists(path);
  const program = ts.createProgram([...byFile.keys()], options, host);
  return blocks.flatMap((block) => {
    const source = program.getSourceFile(block.file);
    return [...program.getSyntacticDiagnostics(source), ...program.getSemanticDiagnostics(source)].map((diagnostic) => {
      const line = source?.getLineAndCharacterOfPosition(diagnostic.start ?? 0).line ?? 0;
      const guide = block.file.replace(/\.\d+\.ts$/, '').slice(ROOT.length + 1);
      return `${guide}:${line + block.shift}: ${ts.flattenDiagnosticMessageText(diagnostic.messageText, ' ')}`;
    });
  });
}

describe('the guides', () => {
  const guides = readdirSync(join(ROOT, GUIDES)).filter((name) => name.endsWith('.md'));
  const texts = new Map(guides.map((name) => [name, readFileSync(join(ROOT, GUIDES, name), 'utf8')]));

  // What does not compile is found: among the guides is one that may not get away with its code.
  const bad = "# A guide\n\n```ts\nimport { WithLock } from 'nestjs-sluice';\nWithLock(7);\n```\n";

  it('show code that compiles', () => {
    const blocks = [...texts, ['bad.md', bad] as const].flatMap(([name, text]) => blocksOf(name, text));
    expect(blocks.length).toBeGreaterThan(10);
    expect(check(blocks)).toEqual([expect.stringMatching(/^docs\/guide\/bad\.md:5: Argument of type 'number'/)]);
  }, 60_000);
});

describe('what the docs refer to exists', () => {
  const docs = [GUIDES, 'docs/internals'].flatMap((folder) =>
    readdirSync(join(ROOT, folder))
      .filter((name) => name.endsWith('.md'))
      .map((name) => join(folder, name)),
  );
  const specs = ['libs', 'test', 'apps'].flatMap((folder) =>
    readdirSync(join(ROOT, folder), { recursive: true }).map(String),
  );

  it.each(docs)('%s', (doc) => {
    const text = readFileSync(join(ROOT, doc), 'utf8');
    const found = (pattern: RegExp): string[] => [...text.matchAll(pattern)].map(([, name]) => name ?? '');
    const files = found(/`((?:libs|test|apps)\/[\w./-]+\.\w+)`/g).filter((path) => !path.endsWith('.spec'));
    const links = found(/\]\(([^)#:]+)(?:#[^)]*)?\)/g).map((link) => join(dirname(doc), link));
    const missing = [...files, ...links].filter((path) => !existsSync(join(ROOT, path)));
    // `lock.held.spec` or `test/e2e/lock.spec`: a spec by the end of its path.
    const unknown = found(/`([\w./-]+\.spec)`/g).filter(
      (name) => !specs.some((path) => join('/', path).endsWith(`/${name.replace(/^test\//, '')}.ts`)),
    );
    expect([...missing, ...unknown]).toEqual([]);
  });
});
