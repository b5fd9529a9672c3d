/** How the scripts run things: one line per step with its duration, the output of a step only if it fails. */
import { spawn } from 'node:child_process';
import { setPriority } from 'node:os';
import { fileURLToPath } from 'node:url';

/** A third of the share of other processes. With the lowest priority, it would stand still on a machine that is busy anyway. */
const NICE = 5;

/** The folder of package.json. */
export const root = fileURLToPath(new URL('..', import.meta.url));

/** A step that failed. `output` is what its program printed. */
export class StepFailed extends Error {
  constructor(message, output = '') {
    super(message);
    this.output = output;
  }
}

/**
 * Runs a program to its end and returns its `output`; rejects with that if it fails.
 *
 * @param options.live true: its output is shown as it comes; 'stderr': only that half of it
 * @param options.withinMs after which it is killed and has failed
 * @param options.signal that kills it, which is a failure as well
 * @param options.group true: what it started is killed with it, also when this process exits
 * @param options.yields true: other processes come first, as far as they need the processor
 */
export function run(command, args, options = {}) {
  const {
    live = false,
    stdin = 'ignore',
    cwd = root,
    env = {},
    withinMs,
    signal,
    group = false,
    yields = false,
  } = options;
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      cwd,
      env: { ...process.env, ...env },
      stdio: [stdin, 'pipe', 'pipe'],
      timeout: withinMs,
      signal,
      killSignal: 'SIGKILL',
      detached: group,
    });
    if (group && child.pid !== undefined) killGroupWith(child);
    if (yields && child.pid !== undefined) setPriority(child.pid, NICE);
    let output = '';
    child.stdout.setEncoding('utf8').on('data', (text) => {
      if (live === true) process.stdout.write(text);
      else output += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text) => {
      if (live) process.stderr.write(text);
      else output += text;
    });
    const failed = (how) => reject(new StepFailed(`${[command, ...args].join(' ')}: ${how}`, live ? '' : output));
    child.once('error', (error) => failed(error.message));
    child.once('close', (code, by) => (code === 0 ? resolve({ output }) : failed(by ?? `exit code ${code}`)));
  });
}

/** A worker that is left alone in an endless loop would never end. */
function killGroupWith(child) {
  const kill = () => {
    try {
      process.kill(-child.pid, 'SIGKILL');
    } catch (error) {
      if (error.code !== 'ESRCH') throw error;
    }
  };
  // Before what was there already: that may remove what the group writes to.
  process.prependOnceListener('exit', kill);
  child.once('exit', () => {
    process.off('exit', kill);
    kill();
  });
}

/** A program of the locked dependencies, by its file: no shell, no PATH, no npx. */
export function tool(file, args, options) {
  return run(process.execPath, [`node_modules/${file}`, ...args], options);
}

export const tsc = (project, options) => tool('typescript/bin/tsc', ['-p', project], options);

/** Where the lines of progress go: to standard output, unless that is for something else. */
export const progress = { say: console.log };

/** Runs `work` and prints one line: what it was and how long it took. What `work` returns is added to the line. */
export async function step(label, work) {
  const started = performance.now();
  const seconds = () => `${((performance.now() - started) / 1_000).toFixed(1)} s`;
  try {
    const note = await work();
    progress.say(`✓ ${label} (${seconds()})${typeof note === 'string' ? `: ${note}` : ''}`);
  } catch (error) {
    progress.say(`✗ ${label} (${seconds()}): ${error.message}`);
    if (error.output) progress.say(error.output.trimEnd());
    error.told = true;
    throw error;
  }
}

/** Runs a script's main function; a failure makes the exit code 1 and is told once, a bug with its stack. */
export async function main(work) {
  try {
    await work();
  } catch (error) {
    if (!error.told) console.error(error instanceof StepFailed ? `✗ ${error.message}` : error);
    // Whatever a failure left open must not keep the process.
    process.exit(1);
  }
}

/** Whether this module is the script that Node was started with. */
export const isMain = (url) => process.argv[1] !== undefined && fileURLToPath(url) === process.argv[1];
