import type { LimitReply, LimitRunReply, OtherWindow } from '../limit-rule.js';

/** Repeat (0 or 1), now, the number of rules; then for each run: granted, due, retry, violated, units left of each rule; then resets. */
export function decodeReply(reply: unknown): LimitReply | OtherWindow {
  const numbers = reply as number[];
  const [repeat = 0, nowUs = 0, rules = 0] = numbers;
  if (repeat < 0) return { nowUs, runs: undefined };
  const runs: LimitRunReply[] = [];
  const end = numbers.length - rules;
  for (let at = 3; at < end; at += 4 + rules) {
    runs.push({
      granted: numbers[at] ?? 0,
      dueUs: numbers[at + 1] ?? 0,
      retryUs: numbers[at + 2] ?? 0,
      violated: numbers[at + 3] ?? 0,
      left: numbers.slice(at + 4, at + 4 + rules),
    });
  }
  return { nowUs, isRepeat: repeat === 1, runs, resetUs: numbers.slice(end) };
}
