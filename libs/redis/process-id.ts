import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';

/** The parts of the id of a process. */
export interface ProcessId {
  /** `host:pid:start`: one start of one process. `start` is the time in base 36, then `-` and 12 random hex digits. */
  readonly id: string;
  readonly host: string;
  readonly pid: number;
  /** When it started, in Unix milliseconds of its own clock. */
  readonly startedMs: number;
}

/** The id of this process. Each call makes another one. */
export function makeProcessId(): string {
  return `${hostname()}:${process.pid}:${Date.now().toString(36)}-${randomBytes(6).toString('hex')}`;
}

const FORM = /^(.+):(\d+):([0-9a-z]+)-[0-9a-f]{12}$/s;

/** The same form as a Lua pattern, for scripts. */
export const PROCESS_ID_PATTERN = '.+:%d+:%w+%-%x+';

/** Reads an id; undefined for any other text. */
export function parseProcessId(id: string): ProcessId | undefined {
  const [, host, pid, started] = FORM.exec(id) ?? [];
  if (host === undefined || pid === undefined || started === undefined) return undefined;
  return { id, host, pid: Number(pid), startedMs: parseInt(started, 36) };
}
