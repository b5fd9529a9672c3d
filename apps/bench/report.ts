/** docs/benchmarks.md, written by the run whose figures it shows. */
import type { Curve, Result } from './bench.js';
import { median } from './statistics.js';
import { show } from './tell.js';

export interface Report {
  rows: readonly Result[];
  /** Server, Node, processors; then each peer's version and settings. */
  on: readonly string[];
  /** How many runs met what, if there were several. */
  timesMet: readonly string[];
  curves: readonly Curve[];
}

const METHOD = `# Benchmarks

Measured by one command, next to the libraries that are the usual alternatives, on one server in one run:

\`\`\`bash
npm run bench                     # every row and plot, half an hour
npm run bench -- lock --quick     # a first look at one feature; a minute for all of them
npm run bench -- --repeat 4       # every row four times, each on a fresh server; shows how often each target was met
npm run bench -- --write          # also writes this page and its plots
\`\`\`

The first run installs the other libraries into \`apps/bench/node_modules\`; the package itself never does. The benchmark
starts and stops a private \`redis-server\`, and touches no server that already runs. Results are also written to
\`apps/bench/results.json\`.

## How it is measured

- **raw** is the same work, handwritten with ioredis on the same server: what a careful engineer would write without a
  library (a pair of Lua scripts, \`XREADGROUP\` of 500 with one \`XACK\` and \`XDEL\`, \`GET\` or \`XADD\` with auto-pipelining).
- **In turns.** After a warm-up, the contenders take turns: Sluice, raw, each peer; Sluice, raw, each peer; and so on. There
  are five rounds: three if a round is long, nine for the lateness, 25 if a round takes a fraction of a second. So changes of
  the machine affect all contenders. A figure is the median of its rounds, with the range beside it. A round of wake-ups is 22
  short ones; its 99th percentile is that of their 1,100 keys.
- **A verdict needs steady rounds.** A row is _unclear_, and counts as not met, if three things come together: the middle half
  of a contender's rounds spans more than a fifth of their median; the same is true of the ratios to raw, round by round;
  _and_ more rounds contradict the verdict than a coin would in one of 32 cases (one of five, eight of 25).
- **Latencies across processes** are taken in real processes on the machine's monotonic clock. Fills and wake-ups arrive at a
  constant rate, whether or not the last one was answered. Wake-ups are warmed up by 5,000 of each kind at the measured rate,
  because V8 goes on compiling for that long, on the same processors.
- **An idle process** is measured from a minute after its start on. V8 has then collected what the start has left.
- **Sluice runs at its defaults.** The others run as their own documentation recommends for this kind of work, as listed.
- Beside each figure the run prints how late the measuring event loop was (99th percentile) and how much of a core the server
  used.`;

export function report({ rows, on, timesMet, curves }: Report): string {
  const [machine = '', ...settings] = on;
  return [
    METHOD,
    '## Figures',
    `${machine}.`,
    table(rows),
    ...(timesMet.length > 0 ? [timesMet.map((line) => `- ${line}`).join('\n')] : []),
    '## Measured against',
    settings.map((line) => `- ${line}`).join('\n'),
    '## Plots',
    ...curves.map(({ name, title }) => `![${title}](benchmarks/${name}.svg)`),
  ]
    .join('\n\n')
    .concat('\n');
}

function table(rows: readonly Result[]): string {
  const cells = rows.map((row) => [
    `\`${row.name}\`, ${row.unit}`,
    `${show(row.sluice)}${range(row)}`,
    row.raw === null ? '' : show(row.raw),
    row.raw !== null && row.raw > 0 ? (row.sluice / row.raw).toFixed(2) : '',
    Object.entries(row.peers)
      .map(([name, value]) => `${name} ${show(value)}`)
      .join(', '),
    row.target,
    row.verdict === 'none' ? '' : row.verdict,
  ]);
  const head = ['row', 'Sluice (range)', 'raw', '× raw', 'others', 'target', ''];
  return [head, head.map(() => '---'), ...cells].map((line) => `| ${line.join(' | ')} |`).join('\n');
}

function range({ samples }: Result): string {
  const { sluice = [] } = samples;
  const [least, most] = [Math.min(...sluice), Math.max(...sluice)];
  return least === most || Number.isNaN(median(sluice)) ? '' : ` (${show(least)} – ${show(most)})`;
}
