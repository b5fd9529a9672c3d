/**
 * `npm run docs:scripts`: the table of scripts in docs/internals/<feature>.md, made from the headers of the scripts in
 * libs/<feature>/store/scripts. It stands between two markers. `--check`: only says whether the tables are current.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import prettier from 'prettier';
import ts from 'typescript';
import { isMain, main, root, StepFailed } from './step.mjs';

export const FEATURES = ['lock', 'cache', 'queue', 'limit'];
const BEGIN = '<!-- scripts: made by `npm run docs:scripts` -->';
const END = '<!-- /scripts -->';

/** The page of a feature with its table as it should be. */
export async function pageWithTable(feature) {
  const page = readFileSync(pathOf(feature), 'utf8');
  const [before, rest] = page.split(BEGIN);
  const after = rest?.split(END)[1];
  if (after === undefined) throw new StepFailed(`${pathOf(feature)} lacks the markers ${BEGIN} and ${END}`);
  const rows = scriptsOf(feature).map(({ name, file, keys, does }) => {
    const link = `[\`${name}\`](../../libs/${feature}/store/scripts/${file})`;
    return `| ${link} | ${keys.join(', ') || 'any number'} | ${does.replaceAll('|', '\\|')} |`;
  });
  const table = ['| script | keys | does |', '| --- | --- | --- |', ...rows].join('\n');
  const options = { ...(await prettier.resolveConfig(pathOf(feature))), parser: 'markdown' };
  return prettier.format(`${before}${BEGIN}\n\n${table}\n\n${END}${after}`, options);
}

export const pathOf = (feature) => join(root, 'docs/internals', `${feature}.md`);

/** The scripts of a feature in the order of their names. */
function scriptsOf(feature) {
  const dir = join(root, 'libs', feature, 'store/scripts');
  const files = readdirSync(dir).filter((file) => /\.scripts?\.ts$/.test(file));
  const texts = files.map((file) => [file, readFileSync(join(dir, file), 'utf8')]);
  const constants = new Map(texts.flatMap(([file, text]) => [...constantsOf(parse(file, text))]));
  const scripts = texts.flatMap(([file, text]) => scriptsIn(file, text, constants));
  return scripts.sort((a, b) => (a.name < b.name ? -1 : 1));
}

const parse = (file, text) => ts.createSourceFile(file, text, ts.ScriptTarget.Latest, true);

/** What `export const NAME = <value>` declares, by name. */
function declarationsOf(source) {
  const statements = source.statements.filter(ts.isVariableStatement);
  return statements.map((statement) => {
    const [{ name, initializer }] = statement.declarationList.declarations;
    return { statement, name: name.text, value: unwrap(initializer) };
  });
}

/** Lists of keys that several scripts share. */
function constantsOf(source) {
  const lists = declarationsOf(source).filter(({ value }) => ts.isArrayLiteralExpression(value));
  return new Map(lists.map(({ name, value }) => [name, textsOf(value, new Map())]));
}

/** Each `export const … = defineScript({ … })` of a file, with the first sentence of the comment before it. */
export function scriptsIn(file, text, constants = new Map()) {
  const source = parse(file, text);
  return declarationsOf(source)
    .filter(({ value }) => ts.isCallExpression(value) && value.expression.getText() === 'defineScript')
    .map(({ statement, name, value }) => {
      const comment = ts.getJSDocCommentsAndTags(statement).find(ts.isJSDoc);
      if (!comment) throw new StepFailed(`${file}: ${name} has no header`);
      const properties = new Map(value.arguments[0].properties.map((each) => [each.name.getText(), each.initializer]));
      const keys = properties.get('keys');
      return {
        file,
        name: properties.get('name').text,
        keys: ts.isArrayLiteralExpression(keys) ? textsOf(keys, constants) : (constants.get(keys.text) ?? [keys.text]),
        does: firstSentence(ts.getTextOfJSDocComment(comment.comment) ?? ''),
      };
    });
}

const unwrap = (node) =>
  node && (ts.isAsExpression(node) || ts.isSatisfiesExpression(node)) ? unwrap(node.expression) : node;

function textsOf(array, constants) {
  return array.elements.flatMap((each) =>
    ts.isSpreadElement(each) ? (constants.get(each.expression.text) ?? [`…${each.expression.text}`]) : [each.text],
  );
}

/** Up to the first full stop or colon that ends a sentence, in one line. */
function firstSentence(comment) {
  const paragraph = comment
    .split(/\n\s*\n/)[0]
    .replace(/\s+/g, ' ')
    .trim();
  return paragraph.split(/(?<=\.) (?=[A-Z`{])/)[0];
}

if (isMain(import.meta.url)) {
  await main(async () => {
    for (const feature of FEATURES) {
      const wanted = await pageWithTable(feature);
      if (readFileSync(pathOf(feature), 'utf8') === wanted) continue;
      if (process.argv.includes('--check'))
        throw new StepFailed(`docs/internals/${feature}.md is not current: npm run docs:scripts`);
      writeFileSync(pathOf(feature), wanted);
      console.log(`wrote docs/internals/${feature}.md`);
    }
  });
}
