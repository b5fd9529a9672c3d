/** What `npm run bench -- interleavings` does. */
import { readFileSync, writeFileSync } from 'node:fs';
import { peerVersion } from '../peer.js';
import { compare } from './compare.js';
import { COLUMNS } from './contenders.js';
import { replaced, tableOf } from './table.js';

/** Plays everything so many times, and writes the table into the page. */
export async function writeInterleavings(page: string, runs: number): Promise<void> {
  const headings = COLUMNS.map((column) => ({ ...column, version: peerVersion(column.package) }));
  for (const { name, version, settings } of headings) console.log(`${name} ${version}: ${settings}`);
  const results = await compare(runs, console.log);
  writeFileSync(page, replaced(readFileSync(page, 'utf8'), tableOf(results, headings, runs)));
}
