import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from '@jest/globals';
import { commandsOfRule, type RuleName } from './acl-rules.js';

/** Commands whose rights are told apart by what follows the name. */
const WITH_SUBCOMMANDS = ['client', 'cluster', 'memory', 'pubsub', 'xgroup', 'xinfo'];

/** What each connection sends or may send. `cluster|nodes` and `select` are for what SECURITY.md names apart. */
const OF_CONNECTION = ['cluster|nodes', 'select'];

/** The commands that the sources of a library name, in scripts and in calls. */
function commandsIn(lib: string): Set<string> {
  const files = readdirSync(`libs/${lib}`, { recursive: true, encoding: 'utf8' });
  const sources = files.filter((file) => file.endsWith('.ts') && !file.endsWith('.spec.ts'));
  const found = new Set<string>();
  for (const file of sources) {
    // Examples in comments count for nothing.
    const text = readFileSync(join('libs', lib, file), 'utf8').replace(/^ *(\/\*\*|\*).*$/gm, '');
    const inScripts = text.matchAll(/redis\.p?call\(\s*'(\w+)'(?:,\s*'(\w+)')?/g);
    const inCalls = text.matchAll(/\.(?:send|read)(?:<[^(]*>)?\(\s*'(\w+)',\s*(?:\[\s*'(\w+)')?/g);
    for (const [, name = '', next] of [...inScripts, ...inCalls]) {
      const command = name.toLowerCase();
      if (!WITH_SUBCOMMANDS.includes(command)) found.add(command);
      else if (next !== undefined) found.add(`${command}|${next.toLowerCase()}`);
    }
  }
  return found;
}

it.each<[RuleName, string]>([
  ['locks', 'lock'],
  ['the cache', 'cache'],
  ['a queue', 'queue'],
  ['rate limits', 'limit'],
])('the rule for %s has each command that libs/%s uses, and no other', (name, lib) => {
  const used = commandsIn(lib);
  const shared = commandsIn('redis');
  const rule = commandsOfRule(name);
  // Missing: put it into the rights of the feature (`*Rights`), and the line that acl.spec prints into SECURITY.md.
  expect([...used].filter((command) => !rule.includes(command))).toEqual([]);
  const known = [...used, ...shared, 'client|info', 'client|setname'];
  expect(rule.filter((command) => !known.includes(command))).toEqual([]);
});

it('the base layer uses no command that no rule has', () => {
  const rule = [...commandsOfRule('every feature'), ...OF_CONNECTION, 'client|tracking'];
  const used = [...commandsIn('redis')];
  expect(used).toContain('cluster|nodes');
  expect(used.filter((command) => !rule.includes(command))).toEqual([]);
});
