/** What Redis gives to every script. */
const BUILT_IN = words(
  'redis KEYS ARGV string table math bit cjson cmsgpack struct assert error getmetatable ipairs next pairs pcall ' +
    'rawequal rawget rawset select setmetatable tonumber tostring type unpack xpcall',
);
const KEYWORDS = words(
  'and break do else elseif end false for function if in local nil not or repeat return then true until while',
);
const OPENS = words('do function if repeat');
const CLOSES = words('end until');

const TOKENS =
  /--\[\[[\s\S]*?\]\]|--.*|'(?:\\[\s\S]|[^'\\])*'|"(?:\\[\s\S]|[^"\\])*"|[A-Za-z_]\w*|\d[\w.]*|\.{2,3}|[=~<>]=|\S/g;

export interface LuaNames {
  /**
   * Names that the text declares outside of every block, in order: what follows it can use them. Not `_`, which is for unused
   * values.
   */
  readonly exported: readonly string[];
  /** Names that the text uses and declares nowhere. */
  readonly free: readonly string[];
}

/**
 * Reads which names a Lua text declares and uses. For our own scripts, when they are defined: a name counts as declared in
 * the whole text if it is declared anywhere in it, and only what our scripts contain of Lua is known.
 */
export function namesIn(text: string): LuaNames {
  const tokens = (text.match(TOKENS) ?? []).filter((token) => !token.startsWith('--'));
  const exported: string[] = [];
  const declared = new Set<string>();
  const used = new Set<string>();
  let depth = 0;
  for (const [i, token] of tokens.entries()) {
    if (token === 'local') {
      const names = tokens[i + 1] === 'function' ? tokens.slice(i + 2, i + 3) : listAt(tokens, i + 1);
      if (depth === 0) exported.push(...names.filter((name) => name !== '_'));
      for (const name of names) declared.add(name);
    } else if (token === 'for') for (const name of listAt(tokens, i + 1)) declared.add(name);
    else if (token === 'function') for (const name of listAt(tokens, tokens.indexOf('(', i) + 1)) declared.add(name);
    else if (isUse(tokens, i)) used.add(token);
    if (OPENS.has(token)) depth++;
    else if (CLOSES.has(token)) depth--;
  }
  return { exported, free: [...used].filter((name) => !declared.has(name)) };
}

/** Names with commas between them. */
function listAt(tokens: readonly string[], from: number): string[] {
  const names: string[] = [];
  for (let i = from; isName(tokens[i]); i += 2) {
    names.push(tokens[i] as string);
    if (tokens[i + 1] !== ',') break;
  }
  return names;
}

function isUse(tokens: readonly string[], i: number): boolean {
  const [before = '', token = '', after = ''] = [tokens[i - 1], tokens[i], tokens[i + 1]];
  if (!isName(token) || BUILT_IN.has(token) || before === '.' || before === ':') return false;
  // The key in a table such as { reason = reason }.
  return !(after === '=' && (before === '{' || before === ','));
}

function isName(token: string | undefined): boolean {
  return token !== undefined && /^[A-Za-z_]/.test(token) && !KEYWORDS.has(token);
}

function words(text: string): ReadonlySet<string> {
  return new Set(text.split(' '));
}
