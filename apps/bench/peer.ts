/** The packages measured against. They are installed for a benchmark only, so nothing here may need them to compile. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** What `import(name)` gives. The adapters in `peers/` say which part of it they use. */
export async function peer(name: string): Promise<unknown> {
  return import(name);
}

/** The installed version, for the head of the report. */
export function peerVersion(name: string): string {
  const file = join(home(), 'node_modules', name, 'package.json');
  return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version.replace(/^v/, '');
}

/** What each contender was set to, and where that advice comes from. Printed with every run. */
export interface PeerSettings {
  name: string;
  settings: string;
}

/** The folder of apps/bench, seen from `dist/apps/bench`. */
function home(): string {
  return join(import.meta.dirname, '../../..');
}
