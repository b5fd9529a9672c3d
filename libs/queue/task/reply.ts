import { parseProcessId } from '../../redis/index.js';

/** Who waits for the result of a task. It is sent along with the task, in `meta`. */
export interface Reply {
  /** The id of the process whose inbox is told. */
  readonly processId: string;
  /** Names the wait, in that process and in the key of the kept result. */
  readonly token: string;
  /** How long the publisher waits, in milliseconds. */
  readonly waitMs: number;
  /** The group whose outcome counts. */
  readonly group: string;
}

/** A reply as `meta` has it. */
export function replyText({ processId, token, waitMs, group }: Reply): string {
  return `${processId} ${token} ${waitMs} ${group}`;
}

/** Reads a reply; undefined for any other value, because other software may keep anything in `meta`. The scripts apply the same rule. */
export function parseReply(text: unknown): Reply | undefined {
  if (typeof text !== 'string') return undefined;
  const [, processId = '', token = '', waitMs, group = ''] = FORM.exec(text) ?? [];
  if (parseProcessId(processId) === undefined) return undefined;
  return { processId, token, waitMs: Number(waitMs), group };
}

const FORM = /^(\S{1,512}) ([\w-]{22}) (\d{1,9}) (.+)$/s;
