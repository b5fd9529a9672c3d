/** A result in lines of text. */
import type { Result, Verdict } from './bench.js';
import { median } from './statistics.js';

const VERDICTS: Record<Verdict, string> = {
  met: ': met',
  missed: ': MISSED',
  unclear: ': UNCLEAR, the rounds scatter too much to say',
  none: '',
};

export function tell(result: Result): string[] {
  const { name, unit, better, target, verdict, samples, load, raw } = result;
  const width = Math.max(...Object.keys(samples).map((contender) => contender.length));
  const lines = Object.entries(samples).map(([contender, values]) => {
    const range = values.length > 1 ? ` (${show(Math.min(...values))} – ${show(Math.max(...values))})` : '';
    const ratio = raw === null || raw <= 0 || contender === 'raw' ? '' : `  ${(median(values) / raw).toFixed(2)} × raw`;
    const seen = load[contender];
    const aside = seen ? `  [loop ${show(seen.loopP99Ms)} ms, server ${Math.round(seen.serverCpu * 100)} %]` : '';
    return `   ${contender.padEnd(width)}  ${show(median(values)).padStart(9)}${range}${ratio}${aside}`;
  });
  return [`── ${name}, ${unit}, ${better} is better; target ${target}${VERDICTS[verdict]}`, ...lines];
}

/** Three or more significant digits, thousands apart: 0.247, 12.3, 41,500. */
export function show(value: number): string {
  return Math.abs(value) >= 1_000 ? Math.round(value).toLocaleString('en') : String(Number(value.toPrecision(3)));
}
