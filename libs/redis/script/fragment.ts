import { namesIn } from './lua-names.js';

export interface FragmentDefinition {
  /** For error messages. Unique in every script. */
  name: string;
  /** Fragments whose names this one uses. They come before it, once in each script. Default: none. */
  needs?: readonly Fragment[];
  /** Names that the script itself must declare before this fragment: its keys, its arguments, its own locals. Default: none. */
  locals?: readonly string[];
  lua: LuaText<never>;
}

/** A piece of Lua that several scripts share. */
export interface Fragment {
  readonly name: string;
  readonly needs: readonly Fragment[];
  readonly locals: readonly string[];
  /** The names that this fragment declares for the scripts and fragments that name it. */
  readonly exported: readonly string[];
  readonly text: string;
}

/** Lua text, with each fragment at its place in the text. */
export type LuaText<F extends Fragment = Fragment> = readonly (string | F)[];

/**
 * Lua as a template: texts and numbers become part of the text, and fragments stay objects.
 *
 * @example
 * lua`
 * ${CLOCK}
 * return now() + ${GRACE_MS}`
 */
export function lua(strings: TemplateStringsArray, ...values: readonly (string | number)[]): LuaText<never>;
export function lua(strings: TemplateStringsArray, ...values: readonly (string | number | Fragment)[]): LuaText;
export function lua(strings: TemplateStringsArray, ...values: readonly (string | number | Fragment)[]): LuaText {
  const parts: (string | Fragment)[] = [];
  let text = '';
  for (const [i, string] of strings.raw.entries()) {
    text += string;
    const value = values[i];
    if (typeof value !== 'object') text += String(value ?? '');
    else {
      parts.push(text, value);
      text = '';
    }
  }
  return [...parts, text];
}

/**
 * Defines a fragment, and checks its text against `needs` and `locals`.
 *
 * @throws TypeError naming the fragment, if its text uses a name that neither gives, if it needs a fragment or names a local
 * without using it, or if a name is declared twice
 *
 * @example
 * const EXPIRE = defineFragment({
 *   name: 'expire',
 *   needs: [CLOCK],
 *   locals: ['key'],
 *   lua: lua`local function expireAt(ms) redis.call('PEXPIRE', key, ms - now()) end`,
 * });
 */
export function defineFragment({ name, needs = [], locals = [], lua }: FragmentDefinition): Fragment {
  const text = lua.join('');
  const { exported, free } = namesIn(text);
  const given = needs.flatMap((each) => each.exported);
  check(name, 'declares twice', repeated([...given, ...locals, ...exported]));
  check(name, 'uses without a need or a local', without(free, [...given, ...locals]));
  check(name, 'does not use its local', without(locals, free));
  const unused = needs.filter((each) => each.exported.every((exports) => !free.includes(exports)));
  check(name, 'does not use its need', unused.map(nameOf));
  return { name, needs, locals, exported, text };
}

/**
 * The text of a script: each fragment once, where it is named first or needed first.
 *
 * @param known the names of the script's keys and arguments
 * @throws TypeError naming the script, if a name is used before it is declared, if a name is declared twice, or if the script
 *   uses a name of a fragment that the script does not name itself
 */
export function joinLua(script: string, lua: LuaText, known: readonly string[]): string {
  const own = [...known];
  const visible = [...known];
  const joined: Fragment[] = [];
  const texts: string[] = [];

  const join = (fragment: Fragment): void => {
    if (joined.includes(fragment)) return;
    for (const need of fragment.needs) join(need);
    check(script, `does not declare before its fragment ${fragment.name}`, without(fragment.locals, own));
    joined.push(fragment);
    texts.push(fragment.text.trim());
  };

  for (const part of lua) {
    if (typeof part === 'object') {
      join(part);
      visible.push(...part.exported);
    } else {
      const { exported, free } = namesIn(part);
      check(script, 'uses before it is declared', without(free, [...visible, ...exported]));
      own.push(...exported);
      visible.push(...exported);
      if (part.trim() !== '') texts.push(part.trim());
    }
  }
  check(script, 'has two fragments of the name', repeated(joined.map(nameOf)));
  check(script, 'declares twice', repeated([...own, ...joined.flatMap((each) => each.exported)]));
  return texts.join('\n');
}

function check(what: string, mistake: string, names: readonly string[]): void {
  if (names.length > 0) throw new TypeError(`Lua ${what}: it ${mistake}: ${names.join(', ')}`);
}

function nameOf({ name }: Fragment): string {
  return name;
}

function repeated(names: readonly string[]): string[] {
  return names.filter((name, i) => names.indexOf(name) !== i);
}

function without(names: readonly string[], others: readonly string[]): string[] {
  return names.filter((name) => !others.includes(name));
}
