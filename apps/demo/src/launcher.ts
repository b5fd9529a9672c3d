/**
 * Shows the app at work: three processes of it on one Redis, the services that they call, real HTTP traffic.
 *
 *   node dist/apps/demo/src/launcher.js            a guided scenario, then it stays up until Ctrl-C
 *                                       --once     exits after the scenario: 0 if all of it held, else 1
 *                                       --json     the figures as one JSON object on standard output
 *                            --redis=embedded      on js-redis-server, in this process
 *                                 --port=3000      where the page is served; otherwise on any free port
 */
import 'reflect-metadata';
import { Demo } from './launcher/demo.js';
import { readOptions } from './launcher/options.js';
import { Report } from './launcher/report.js';

const options = readOptions(process.argv.slice(2), process.env);
const report = new Report(options.json ? process.stderr : process.stdout);
const interruption = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => {
    if (!interruption.signal.aborted) report.line('\nStopping.');
    interruption.abort();
  });
}

const demo = new Demo(options, report, interruption.signal);
let exitCode: number;
try {
  await demo.open();
  const outcome = await demo.play();
  if (options.json) process.stdout.write(`${JSON.stringify(outcome, null, 2)}\n`);
  exitCode = outcome.holds ? 0 : 1;
  if (!options.once) await demo.stayUp();
} catch (error) {
  // Interrupted with --once, whoever waits for the verdict gets none: 130, as a shell calls it.
  if (interruption.signal.aborted) exitCode = options.once ? 130 : 0;
  else {
    report.fails(error);
    exitCode = 1;
  }
}
await demo.close();
// Here and now: a request that nobody answers any more must not keep this process.
process.exit(exitCode);
