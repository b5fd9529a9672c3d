import type { LimitReply, LimitRun, LimitRunReply, OtherWindow } from '../limit-rule.js';

const BYTES = 8;

/** The first number of a subject, besides 0 and 1. */
const ALL_GRANTED = 2;
const OTHER_WINDOW = -1;
const NOT_READ = -2;

/**
 * Reads a reply of `limit:consume` or `limit:peek`: the answers to all subjects, in order.
 *
 * @returns undefined for a subject whose keys could not be read. Nothing of it was charged
 */
export function decodeReplies(
  reply: Buffer,
  limits: number,
  runs: readonly LimitRun[],
): (LimitReply | OtherWindow | undefined)[] {
  let at = 0;
  const number = (): number => reply.readDoubleLE((at += BYTES) - BYTES);
  const numbers = (): number[] => {
    const list = [number()];
    while (list.length < limits) list.push(number());
    return list;
  };
  const answer = (): LimitRunReply => {
    return { granted: number(), dueUs: number(), retryUs: number(), violated: number(), left: numbers() };
  };
  const nowUs = number();
  const subjects: (LimitReply | OtherWindow | undefined)[] = [];
  while (at < reply.length) {
    const first = number();
    if (first === OTHER_WINDOW) subjects.push({ nowUs, runs: undefined });
    else if (first === NOT_READ) subjects.push(undefined);
    else if (first === ALL_GRANTED) {
      const left = numbers();
      const all = runs.map(({ calls }) => ({ granted: calls, dueUs: 0, retryUs: 0, violated: 0, left }));
      subjects.push({ nowUs, isRepeat: false, runs: all, resetUs: numbers() });
    } else {
      subjects.push({ nowUs, isRepeat: first === 1, runs: runs.map(answer), resetUs: numbers() });
    }
  }
  return subjects;
}
