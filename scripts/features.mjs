/** What chaos, bench and mutants have in common: their features' files, found by name, and a few flags. */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { StepFailed } from './step.mjs';

/** Features and their files in `dir`: `lock.chaos.ts` is lock's, for the suffix `.chaos.ts`. In the order of names. */
export function discover(dir, suffix) {
  if (!existsSync(dir)) return {};
  const files = readdirSync(dir).filter((file) => file.endsWith(suffix));
  return Object.fromEntries(files.sort().map((file) => [file.slice(0, -suffix.length), join(dir, file)]));
}

/** Reads `[feature ...] [--flags]`: the chosen features' files (all, if none is named) and the flags' values. */
export function choose(found, options, args = process.argv.slice(2)) {
  const { values, positionals } = parse(args, options);
  const known = Object.keys(found);
  for (const name of positionals) {
    if (!known.includes(name)) throw new StepFailed(`there is no '${name}', only ${known.join(', ') || 'nothing yet'}`);
  }
  const chosen = Object.entries(found).filter(([name]) => positionals.length === 0 || positionals.includes(name));
  return { chosen, values };
}

/** Reads flags and names; an unknown flag fails the command with the parser's words. */
export function parse(args, options) {
  try {
    return parseArgs({ args, options, allowPositionals: true });
  } catch (error) {
    throw new StepFailed(error.message);
  }
}

/** A flag's number, at least `min`; undefined if the flag is not there. */
export function number(values, name, min) {
  if (values[name] === undefined) return undefined;
  const value = Number(values[name]);
  if (!(value >= min)) throw new StepFailed(`--${name} must be a number from ${min} on, got '${values[name]}'`);
  return value;
}
